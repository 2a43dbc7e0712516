/** What was made for the last used keys, up to `max` of them. */
export class RecentlyUsed<Key, Value extends object> {
  private readonly max: number
  /** The last used one last. */
  private readonly kept = new Map<Key, Value>()

  constructor(max: number) {
    this.max = max
  }

  get(key: Key, make: () => Value): Value {
    const found = this.kept.get(key) ?? make()
    this.kept.delete(key)
    this.kept.set(key, found)
    if (this.kept.size > this.max) this.kept.delete(this.kept.keys().next().value!)
    return found
  }
}
