import type { ByteWriter } from '../../common/bytes.ts'

/*
 * Text of floats (common/d2s.c, f2s.c with extra_float_digits > 0): the shortest decimal STRICTLY inside the rounding interval
 * of the value, of these the nearest, of two the one with an even last digit. JavaScript also takes the interval's end points,
 * so it sometimes prints fewer digits: 39902112524455504 there is 3.99021125244555e+16. Below 2^53 an end point has more
 * than 17 digits, so there the two agree.
 */
const WORD = 2 ** 32
const INTEGER_LIMIT = 2 ** 53

const doubles = new Float64Array(1)
const doubleWords = new Int32Array(doubles.buffer)
const floats = new Float32Array(1)
const floatWords = new Int32Array(floats.buffer)

/** float8out of the bits `high`, `low`. */
export function writeFloat8(low: number, high: number, out: ByteWriter): void {
  if ((high & 0x7ff00000) === 0x7ff00000) {
    writeSpecial((high & 0xfffff) === 0 && low === 0, high < 0, out)
    return
  }
  if (high < 0) out.u8(0x2d)
  doubleWords[0] = low
  doubleWords[1] = high & 0x7fffffff
  const value = doubles[0]!
  if (value === 0 || (value >= 1e-4 && value < 1e15)) {
    out.ascii(String(value))
    return
  }
  if (value < INTEGER_LIMIT) {
    const [mantissa, exponent] = value.toExponential().split('e') as [string, string]
    writeDigits(mantissa.replace('.', ''), Number(exponent), 15, out)
    return
  }
  const biased = (high >>> 20) & 0x7ff
  const fraction = BigInt((high & 0xfffff) * WORD + (low >>> 0))
  const shortest = shortestDecimal(fraction | (1n << 52n), biased - 1075, fraction === 0n, 17, value)
  writeDigits(shortest.digits, shortest.exponent, 15, out)
}

/** float4out of the bits. */
export function writeFloat4(bits: number, out: ByteWriter): void {
  const biased = (bits >>> 23) & 0xff
  const fraction = bits & 0x7fffff
  if (biased === 0xff) {
    writeSpecial(fraction === 0, bits < 0, out)
    return
  }
  if (bits < 0) out.u8(0x2d)
  if (biased === 0 && fraction === 0) {
    out.u8(0x30)
    return
  }
  floatWords[0] = bits & 0x7fffffff
  const mantissa = BigInt(biased === 0 ? fraction : fraction | 0x800000)
  const shortest = shortestDecimal(mantissa, Math.max(biased, 1) - 150, fraction === 0 && biased > 1, 9, floats[0]!)
  writeDigits(shortest.digits, shortest.exponent, 6, out)
}

function writeSpecial(infinite: boolean, negative: boolean, out: ByteWriter): void {
  out.ascii(infinite ? (negative ? '-Infinity' : 'Infinity') : 'NaN')
}

/** to_chars: plain from 10^-4 to below 10^`plainBelow`, else `d.ddde+XX`. `exponent` is that of the first digit. */
function writeDigits(digits: string, exponent: number, plainBelow: number, out: ByteWriter): void {
  if (exponent < -4 || exponent >= plainBelow) {
    const power = String(Math.abs(exponent)).padStart(2, '0')
    out.ascii(`${digits[0]}${digits.length > 1 ? `.${digits.slice(1)}` : ''}e${exponent < 0 ? '-' : '+'}${power}`)
  } else if (exponent < 0) {
    out.ascii(`0.${'0'.repeat(-1 - exponent)}${digits}`)
  } else {
    const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
    const rest = digits.slice(exponent + 1)
    out.ascii(rest === '' ? whole : `${whole}.${rest}`)
  }
}

interface Decimal {
  digits: string
  /** Power of ten of the first digit. */
  exponent: number
}

/**
 * The decimal for mantissa * 2^exponent2, which is about `near`. `powerOfTwo`: the gap below the value is half the gap above.
 * Everything is counted in units of 2^(exponent2 - 2), where the interval's ends are integers.
 */
function shortestDecimal(mantissa: bigint, exponent2: number, powerOfTwo: boolean, mostDigits: number, near: number): Decimal {
  const shift = exponent2 - 2
  const denominator = shift < 0 ? 1n << BigInt(-shift) : 1n
  const scale = shift < 0 ? 1n : 1n << BigInt(shift)
  const value = mantissa * 4n * scale
  const low = value - (powerOfTwo ? 1n : 2n) * scale
  const high = value + 2n * scale
  const exponent = Number(near.toExponential(mostDigits - 1).split('e')[1])
  let found: Decimal | undefined
  let fewest = 1
  let most = mostDigits
  // If p digits can do it then so can p + 1.
  while (fewest <= most) {
    const count = (fewest + most) >> 1
    const digits = nearestInside(value, low, high, denominator, exponent - count + 1)
    if (digits === undefined) {
      fewest = count + 1
    } else {
      found = { digits: String(digits).replace(/0+$/, ''), exponent: exponent - count + String(digits).length }
      most = count - 1
    }
  }
  if (found === undefined) throw new Error('ltap bug: a float without a decimal')
  return found
}

/** The multiple of 10^`power` nearest to value / denominator and strictly between low and high, as a count of 10^power. */
function nearestInside(value: bigint, low: bigint, high: bigint, denominator: bigint, power: number): bigint | undefined {
  const up = power < 0 ? 10n ** BigInt(-power) : 1n
  const unit = power < 0 ? denominator : denominator * 10n ** BigInt(power)
  const scaled = value * up
  const below = scaled / unit
  const rest = scaled - below * unit
  const belowInside = below > 0n && below * unit > low * up
  const aboveInside = (below + 1n) * unit < high * up
  if (belowInside && aboveInside) {
    const preferAbove = rest * 2n > unit || (rest * 2n === unit && below % 2n === 1n)
    return preferAbove ? below + 1n : below
  }
  return belowInside ? below : aboveInside ? below + 1n : undefined
}
