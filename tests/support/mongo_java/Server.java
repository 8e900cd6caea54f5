import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** A MongoDB-compatible server on 127.0.0.1: java -cp 'classes:libs/*' Server PORT. Lives until it is killed. */
public class Server {
  private static final MongoVersion FIVE =
      new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
          return List.of(5, 0, 0);
        }

        @Override
        public String toVersionString() {
          return "5.0.0";
        }

        @Override
        public int getWireVersion() {
          return 9; // PyMongo 4.18 and later refuse less; the server's own say 8
        }
      };

  public static void main(String[] args) throws InterruptedException {
    new MongoServer(new MemoryBackend().version(FIVE)).bind("127.0.0.1", Integer.parseInt(args[0]));
    Thread.currentThread().join();
  }
}
