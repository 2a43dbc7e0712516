/**
 * A general compression of single pieces of bytes. A port: libraries and runtimes have several that read each other's output. The name is kept beside
 * the compressed bytes.
 */
export interface Compressor {
  /** Names the format and who made the bytes: `none`, `zstd:node`. */
  readonly name: string
  compress(bytes: Uint8Array): Uint8Array
  /**
   * @param size of the bytes that were compressed, known from elsewhere: no more is allocated
   * @throws CorruptionError compression.* for bytes that are not what compress made of so many bytes
   */
  decompress(bytes: Uint8Array, size: number): Uint8Array
}
