import { CorruptionError, EnvironmentError, isPositioned, type Position, UnsupportedError } from '../../common/errors.ts'
import { addUse, type LentUse, takeUse } from './storereference.ts'

/** What a task ends with, in a form that crosses threads: structured clones lose an error's class and position. `used` is what it asked of stores. */
export type Outcome<T> = ({ value: T } | { error: RemoteError }) & { used?: readonly LentUse[] }

export interface RemoteError {
  name: 'CorruptionError' | 'UnsupportedError' | 'EnvironmentError'
  code: string
  reason: string
  position: Position
}

const CLASSES = { CorruptionError, UnsupportedError, EnvironmentError }

/** Runs a task; errors with a position become data, our own bugs stay exceptions. */
export async function outcomeOf<T>(body: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return withUse({ value: await body() })
  } catch (error) {
    if (!isPositioned(error)) throw error
    const { name, code, reason, position } = error
    return withUse({ error: { name, code, reason, position } })
  }
}

function withUse<T>(outcome: Outcome<T>): Outcome<T> {
  const used = takeUse()
  return used.length === 0 ? outcome : { ...outcome, used }
}

/** Counts what the task asked of lent stores. @throws the error that the task ended with */
export function valueOf<T>(outcome: Outcome<T>): T {
  if (outcome.used !== undefined) addUse(outcome.used)
  if ('value' in outcome) return outcome.value
  const { name, code, reason, position } = outcome.error
  throw new CLASSES[name](code, reason, position)
}
