/**
 * Called when a job begins, and as its pieces end.
 * @param doneBytes of heap, so far @param totalBytes of heap in all
 * @param relation whose piece just ended, `shop.public.orders`; empty at the beginning
 */
export type OnProgress = (doneBytes: number, totalBytes: number, relation: string) => void
