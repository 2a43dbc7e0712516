/**
 * What must be undone when the process is told to end (Ctrl-C, SIGTERM) in the middle of a job: temporary folders, unfinished files, locks,
 * threads, servers. Code that makes one registers here how it is removed. A program that wants signals to do this calls {@link handleSignals}; a
 * library touches no signals.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

type Undo = () => void | Promise<void>
type Ended = (signal: NodeJS.Signals) => void

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Between two looks at the signals in a long loop. */
const TURN_EVERY_MS = 50

/** Called first: tasks that still write must end before their files are removed. */
const stops = new Set<Undo>()
const undos = new Set<Undo>()
const remarks = new Set<string>()
/** Takes Ctrl-C instead: it is how some verbs are told to finish. */
const finishers = new Set<() => void>()
let handler: ((signal: NodeJS.Signals) => void) | undefined
/** True while everything is being undone: an error from now on is a consequence of that. */
let ending = false
let lastTurn = performance.now()

/** @returns a function that takes it back, for a task that has ended by itself */
export function stopOnEnd(stop: Undo): () => void {
  stops.add(stop)
  return () => void stops.delete(stop)
}

/** @returns a function that takes it back, when the job has removed it by itself */
export function onEnd(undo: Undo): () => void {
  undos.add(undo)
  return () => void undos.delete(undo)
}

/** Stops everything, then undoes everything, the latest first. */
export async function endAll(): Promise<void> {
  ending = true
  for (const undo of [...[...stops].reverse(), ...[...undos].reverse()]) {
    stops.delete(undo)
    undos.delete(undo)
    try {
      await undo()
    } catch {
      // The others must be undone too.
    }
  }
}

/** What the user must know if the process ends now. @returns takes it back */
export function remarkOnEnd(remark: string): () => void {
  remarks.add(remark)
  return () => void remarks.delete(remark)
}

/** Never returns while everything is being undone, so that the caller does not go on. */
export async function stopIfEnding(): Promise<void> {
  if (ending) await new Promise(() => {})
}

/** To be awaited now and then in a loop that waits for nothing else: signals are seen only between turns of the event loop. */
export async function breathe(): Promise<void> {
  if (performance.now() - lastTurn < TURN_EVERY_MS) return
  await nextTurn()
  lastTurn = performance.now()
  await stopIfEnding()
}

/** From here on Ctrl-C calls `finish` and undoes nothing. @returns a function that ends this */
export function onInterrupt(finish: () => void): () => void {
  finishers.add(finish)
  return () => void finishers.delete(finish)
}

/**
 * The first signal undoes everything and then calls `ended`; a second signal calls it at once. If signals are handled already, this call changes
 * nothing.
 * @param begun called when the first signal was taken, with what the user must know
 * @returns lets signals do what they did before
 */
export function handleSignals(ended: Ended, begun: (signal: NodeJS.Signals, remarks: readonly string[]) => void = () => {}): () => void {
  if (handler !== undefined) return () => {}
  handler = (signal) => {
    if (ending) return ended(signal)
    if (signal === 'SIGINT' && finishers.size > 0) {
      for (const finish of finishers) finish()
      finishers.clear()
      return
    }
    const done = endAll()
    begun(signal, [...remarks])
    void done.then(() => ended(signal))
  }
  for (const signal of SIGNALS) process.on(signal, handler)
  return () => {
    for (const signal of SIGNALS) if (handler) process.off(signal, handler)
    handler = undefined
  }
}
