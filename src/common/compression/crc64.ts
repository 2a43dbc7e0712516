/** CRC-64 of ECMA-182, reflected, as xz has it: two halves, since no JavaScript integer is as wide. */
const LOW = new Uint32Array(256)
const HIGH = new Uint32Array(256)
for (let i = 0; i < 256; i++) {
  let low = i
  let high = 0
  for (let bit = 0; bit < 8; bit++) {
    const odd = low & 1
    low = ((low >>> 1) | (high << 31)) >>> 0
    high >>>= 1
    if (odd === 1) {
      low = (low ^ 0xd7870f42) >>> 0
      high = (high ^ 0xc96c5795) >>> 0
    }
  }
  LOW[i] = low
  HIGH[i] = high
}

export class Crc64 {
  private low = 0xffffffff
  private high = 0xffffffff

  update(bytes: Uint8Array): void {
    let { low, high } = this
    for (let i = 0; i < bytes.length; i++) {
      const index = (low ^ bytes[i]!) & 0xff
      low = (((low >>> 8) | (high << 24)) ^ LOW[index]!) >>> 0
      high = ((high >>> 8) ^ HIGH[index]!) >>> 0
    }
    this.low = low
    this.high = high
  }

  /** Little-endian. */
  digest(): Uint8Array {
    const out = new DataView(new ArrayBuffer(8))
    out.setUint32(0, ~this.low >>> 0, true)
    out.setUint32(4, ~this.high >>> 0, true)
    return new Uint8Array(out.buffer)
  }
}
