const MICROS = 1_000_000n
const DAY = 86_400n
/** Days from 0000-03-01 to 2000-01-01 in the Gregorian calendar: years counted from March have their leap day last. */
const DAYS_TO_2000 = 730_425n
const DAYS_OF_400_YEARS = 146_097n

/**
 * timestamptz_to_str of pg_waldump (compat.c), in UTC: `2026-11-21 14:05:09.000123 UTC`.
 * @param time microseconds since 2000
 */
export function timeText(time: bigint): string {
  // As in C: seconds and the rest are cut towards zero, so before 2000 the rest is negative.
  const seconds = time / MICROS
  const rest = time % MICROS
  const micros = rest < 0n ? `-${String(-rest).padStart(5, '0')}` : String(rest).padStart(6, '0')
  const day = floorDivide(seconds, DAY)
  const second = Number(seconds - day * DAY)
  return `${dateText(day)} ${two(second / 3600)}:${two((second / 60) % 60)}:${two(second % 60)}.${micros} UTC`
}

/** @param day days since 2000-01-01 */
function dateText(day: bigint): string {
  const from = day + DAYS_TO_2000
  const era = floorDivide(from, DAYS_OF_400_YEARS)
  const dayOfEra = Number(from - era * DAYS_OF_400_YEARS)
  const century = Math.min(Math.floor(dayOfEra / 36_524), 3)
  const dayOfCentury = dayOfEra - century * 36_524
  const olympiad = Math.floor(dayOfCentury / 1461)
  const year = Math.min(Math.floor((dayOfCentury - olympiad * 1461) / 365), 3)
  const dayOfYear = dayOfCentury - olympiad * 1461 - year * 365
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const dayOfMonth = dayOfYear - Math.floor((153 * month + 2) / 5) + 1
  const fullYear = Number(era) * 400 + century * 100 + olympiad * 4 + year + (month >= 10 ? 1 : 0)
  return `${fullYear}-${two(month < 10 ? month + 3 : month - 9)}-${two(dayOfMonth)}`
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, '0')
}
