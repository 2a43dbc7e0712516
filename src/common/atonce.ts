/**
 * Runs `body` on every item in their order, on at most `limit` of them at a time. An item is asked for when it can begin, and nothing is kept of it
 * afterwards: memory does not grow with their number. After a failure none begins any more; those that run are waited for.
 * @throws the first error, of `body` or of `items`
 */
export async function forEachAtMost<T>(limit: number, items: Iterable<T> | AsyncIterable<T>, body: (item: T) => Promise<void>): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let failure: { error: unknown } | undefined
  const lane = async (): Promise<void> => {
    try {
      while (!failure) {
        const next = await iterator.next()
        if (next.done === true) return
        await body(next.value)
      }
    } catch (error) {
      failure ??= { error }
    }
  }
  await Promise.all(Array.from({ length: limit }, lane))
  if (failure) throw (failure as { error: unknown }).error
}
