import type { LogFile, LogRecord, LogValue } from '../../lake/publishedlog.ts'

/** What a log adds: rows of each new file, and what its next publication goes on from. */
export interface LogAddition {
  readonly files: Iterable<Iterable<readonly LogValue[]>> | AsyncIterable<Iterable<readonly LogValue[]>>
  readonly next: Omit<LogRecord, 'files'>
}

/** Rows of a log in one state. */
export interface LogSource {
  /** Where this is the same, there are no new rows. */
  readonly content: string
  /** @param before undefined before the first publication */
  since(before: LogRecord | undefined): Promise<LogAddition>
  /** What an addition goes on from where data files are gone: its rows are then as many of those that were lost as the state has. @param left other files */
  withoutLost(before: LogRecord, left: readonly LogFile[]): LogRecord
}
