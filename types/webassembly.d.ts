/** What the declarations of parquet-wasm name. TypeScript has it in `dom` alone, and the types of Node have another part of it. */
declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  interface Table {
    readonly length: number
    get(index: number): unknown
  }
}
