import { isPositioned } from '../common/errors.ts'
import { printable, printableLines } from '../common/printable.ts'

/** What a verb's exit code says. */
export const EXIT_DONE = 0
/** The answer is no: verify found a difference. */
export const EXIT_NO = 1
export const EXIT_USAGE = 2
/** Bad input or environment. */
export const EXIT_BAD_INPUT = 3

/** The error for arguments that contradict each other. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? EXIT_USAGE : EXIT_BAD_INPUT
}

/** One line for stderr, without its end; with `verbose` the stack trace below it. @param advice what to do next */
export function describeFailure(error: unknown, verbose: boolean, advice?: string): string {
  const message = error instanceof Error ? error.message : String(error)
  const line = `ltap: ${printable(message.replace(/\s*\n\s*/g, ' '))}${advice === undefined ? '' : `: ${advice}`}`
  if (verbose) return error instanceof Error && error.stack !== undefined ? `${line}\n${printableLines(error.stack)}` : line
  return isExpected(error) ? line : `${line} (this is a bug in ltap: run again with --verbose and report it)`
}

/** Ours, or a system call's: ENOENT, EACCES, ENOSPC … */
function isExpected(error: unknown): boolean {
  return error instanceof UsageError || isPositioned(error) || (error instanceof Error && 'syscall' in error)
}

/** The reader of a pipe went away: nothing is wrong. */
export function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EPIPE'
}
