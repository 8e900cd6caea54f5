import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.backend.memory.MemoryDatabase;
import de.bwaldvogel.mongo.backend.memory.index.MemoryUniqueIndex;
import de.bwaldvogel.mongo.bson.Document;
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
    MemoryBackend backend =
        new MemoryBackend() {
          @Override
          public MemoryDatabase openOrCreateDatabase(String name) {
            return new Database(name, getCursorRegistry());
          }
        };
    new MongoServer(backend.version(FIVE)).bind("127.0.0.1", Integer.parseInt(args[0]));
    Thread.currentThread().join();
  }

  private static class Database extends MemoryDatabase {
    Database(String name, CursorRegistry cursors) {
      super(name, cursors);
    }

    @Override
    protected Index<Integer> openOrCreateUniqueIndex(
        String collection, String name, List<IndexKey> keys, boolean sparse) {
      boolean ofId = keys.size() == 1 && keys.get(0).getKey().equals("_id");
      return ofId ? new IdIndex(name, keys, sparse) : super.openOrCreateUniqueIndex(collection, name, keys, sparse);
    }
  }

  /**
   * Looks up `_id` where the query asks for other fields as well, as MongoDB does; what it finds is held against the
   * whole query afterwards. Without it, each conditional write would read the whole collection.
   */
  private static class IdIndex extends MemoryUniqueIndex {
    IdIndex(String name, List<IndexKey> keys, boolean sparse) {
      super(name, keys, sparse);
    }

    @Override
    public boolean canHandle(Document query) {
      return super.canHandle(ofId(query));
    }

    @Override
    public Iterable<Integer> getPositions(Document query) {
      return super.getPositions(ofId(query));
    }

    private static Document ofId(Document query) {
      return query.containsKey("_id") ? new Document("_id", query.get("_id")) : query;
    }
  }
}
