/** Samples of the last moments, for charts. Bounded by time; a gap is null. */

export type Sample = readonly [atMs: number, ...values: (number | null)[]];

export class Series {
  private samples: Sample[] = [];

  constructor(
    private readonly windowMs: number,
    private readonly columns: number,
  ) {}

  push(atMs: number, ...values: (number | null)[]): void {
    const last = this.samples.at(-1);
    if (last !== undefined && atMs <= last[0]) return; // late: the chart only ever grows to the right
    this.samples.push([atMs, ...values]);
    const from = atMs - this.windowMs;
    let gone = 0;
    // One sample before the window stays, so that the line enters from the edge.
    while (gone + 1 < this.samples.length && (this.samples[gone + 1]?.[0] ?? Infinity) < from) gone++;
    if (gone > 0) this.samples = this.samples.slice(gone);
  }

  /** Marks an interruption: no line is drawn across it. */
  gap(atMs: number): void {
    this.push(atMs, ...Array<null>(this.columns).fill(null));
  }

  clear(): void {
    this.samples = [];
  }

  /** Columns for uPlot: times in seconds first, then one array per value. */
  table(): (number | null)[][] {
    const table: (number | null)[][] = [this.samples.map(([atMs]) => atMs / 1000)];
    for (let column = 1; column <= this.columns; column++) table.push(this.samples.map((sample) => sample[column] ?? null));
    return table;
  }

  get latest(): Sample | undefined {
    return this.samples.at(-1);
  }

  get all(): readonly Sample[] {
    return this.samples;
  }
}
