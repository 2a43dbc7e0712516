/** What was made of immutable objects, up to so many bytes; the least recently used goes first. */
export class KeptBytes<Value extends object> {
  private readonly max: number
  private bytes = 0
  private readonly kept = new Map<string, { readonly value: Value; readonly bytes: number }>()
  private readonly made = new Map<string, Promise<Value>>()

  constructor(max: number) {
    this.max = max
  }

  /** Requests for one key at a time share what `make` gives. */
  async get(key: string, make: () => Promise<{ value: Value; bytes: number }>): Promise<Value> {
    const found = this.kept.get(key)
    if (found !== undefined) {
      this.kept.delete(key)
      this.kept.set(key, found)
      return found.value
    }
    const running = this.made.get(key) ?? this.start(key, make)
    return await running
  }

  private start(key: string, make: () => Promise<{ value: Value; bytes: number }>): Promise<Value> {
    const running = make().then((found) => {
      this.keep(key, found)
      return found.value
    }).finally(() => this.made.delete(key))
    this.made.set(key, running)
    return running
  }

  private keep(key: string, found: { value: Value; bytes: number }): void {
    this.kept.set(key, found)
    this.bytes += found.bytes
    for (const [oldest, { bytes }] of this.kept) {
      if (this.bytes <= this.max) break
      this.kept.delete(oldest)
      this.bytes -= bytes
    }
  }
}
