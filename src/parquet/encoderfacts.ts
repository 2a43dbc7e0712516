/*
 * What callers must know of the encoder. It is apart from the encoder, so that to know it loads neither Arrow nor wasm.
 */

/** Who compresses columns: zstd and snappy as compiled into parquet-wasm, which are the same on every machine and every Node. */
export const COMPRESSOR = 'parquet-wasm'

/** A buffer beyond this size held a huge value: it is not kept for the next row group. */
export const KEPT_BYTES_MAX: number = 96 << 20
