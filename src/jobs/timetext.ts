import { POSTGRES_EPOCH_SECONDS } from '../common/epoch.ts'

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?$/

/** `2026-01-31 12:00:00Z`, default zone UTC. @returns microseconds since 2000; undefined for any other text */
export function parseTime(text: string): bigint | undefined {
  const [, day, minutes = '00:00', seconds = '00', fraction = '', zone = 'Z'] = TIME.exec(text) ?? []
  if (day === undefined) return undefined
  const offset = zone === 'UTC' ? 'Z' : zone.replace(/^([+-]\d\d):?(\d\d)?$/, (_, hours: string, rest?: string) => `${hours}:${rest ?? '00'}`)
  const ms = Date.parse(`${day}T${minutes}:${seconds}${offset}`)
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(ms) || new Date(`${day}T00:00Z`).toISOString().slice(0, 10) !== day) return undefined
  return BigInt(ms - POSTGRES_EPOCH_SECONDS * 1000) * 1000n + BigInt(fraction.padEnd(6, '0'))
}
