import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/** The lake of docs/formats/lake-file.md. */
export function lakeOfDocs(): string {
  return join(import.meta.dirname, '../../fixtures/lakes/v1/2026-11-30-cb4ae26-pg18/lake')
}

/** Its file of the table orders. */
export function lakeFileOfDocs(): string {
  const names = readdirSync(lakeOfDocs(), { recursive: true, encoding: 'utf8' })
  return join(lakeOfDocs(), names.find((name) => /public\.orders-\d+\/\d+\.parquet$/.test(name))!)
}
