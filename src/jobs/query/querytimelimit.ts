import type { DuckDBConnection } from '@duckdb/node-api'
import { EnvironmentError } from '../../common/errors.ts'

/** DuckDB forgets an interruption that arrives while a statement is prepared, so the interruption is repeated. */
const AGAIN_MS = 100

/** How long a query may take, all of it: opening the views, its statements, and the reader of its rows. */
export class TimeLimit {
  private readonly connection: DuckDBConnection
  private readonly seconds: number | undefined
  private readonly timer: NodeJS.Timeout | undefined
  private again: NodeJS.Timeout | undefined

  /** @param seconds undefined for as long as it takes */
  constructor(connection: DuckDBConnection, seconds: number | undefined) {
    this.connection = connection
    this.seconds = seconds
    if (seconds !== undefined) this.timer = setTimeout(() => this.interrupt(), seconds * 1000)
  }

  private interrupt(): void {
    this.connection.interrupt()
    this.again = setInterval(() => this.connection.interrupt(), AGAIN_MS)
  }

  /** @throws EnvironmentError query.timeout if it is over */
  check(): void {
    if (this.again !== undefined) {
      throw new EnvironmentError('query.timeout', `the query was ended after ${this.seconds} s: give it more with --timeout, or ask for less`)
    }
  }

  close(): void {
    clearTimeout(this.timer)
    clearInterval(this.again)
  }
}
