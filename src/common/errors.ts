/** Where in a cluster a failure was found. Filled in from the inside out while an error unwinds. */
export interface Position {
  /** Data directory file, relative path. */
  file?: string
  /** Database and relation as a person would write them: `shop.public.orders`. */
  relation?: string
  fork?: string
  block?: number
  /** Line pointer number, from 1. */
  offset?: number
  attribute?: string
  /** Byte position inside the file or page, whichever the code names. */
  byte?: number
  lsn?: string
}

function describe(position: Position): string {
  const parts = Object.entries(position)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${value}`)
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

/** An error with a stable code and a position; callers add what they know with {@link at}. */
export abstract class PositionedError extends Error {
  readonly code: string
  readonly reason: string
  position: Position

  constructor(code: string, reason: string, position: Position = {}) {
    super()
    this.code = code
    this.reason = reason
    this.position = position
    this.describe()
  }

  /** Adds outer context without overwriting what the inner code already knew. Returns the same error. */
  at(outer: Position): this {
    this.position = { ...outer, ...this.position }
    this.describe()
    return this
  }

  private describe(): void {
    this.message = `${this.code}: ${this.reason}${describe(this.position)}`
  }
}

/** The bytes are damaged: no Postgres server writes them. */
export class CorruptionError extends PositionedError {
  override readonly name = 'CorruptionError'
}

/** The input is valid but this version of ltap does not handle it. */
export class UnsupportedError extends PositionedError {
  override readonly name = 'UnsupportedError'
}

/** The error for a condition that the caller can change: a missing file, a running server, no permission, a foreign lake. */
export class EnvironmentError extends PositionedError {
  override readonly name = 'EnvironmentError'
}

export function isPositioned(error: unknown): error is CorruptionError | UnsupportedError | EnvironmentError {
  return error instanceof PositionedError
}

/** Runs `body`; a positioned error that escapes gains `position`. */
export function withPosition<T>(position: Position, body: () => T): T {
  try {
    return body()
  } catch (error) {
    throw isPositioned(error) ? error.at(position) : error
  }
}

/** Our own bug, never the input's: not meant to be caught. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`ltap bug: ${message}`)
}
