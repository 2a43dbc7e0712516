/** Rows of numbers, 8 bytes each; sorted once, by some leading columns and then by the order they came in. */
export class NumberRows {
  readonly width: number
  count = 0
  private cells: Float64Array
  private order: Uint32Array | undefined

  constructor(width: number) {
    this.width = width
    this.cells = new Float64Array(1024 * width)
  }

  add(...row: readonly number[]): void {
    const at = this.count++ * this.width
    if (at === this.cells.length) {
      const grown = new Float64Array(this.cells.length * 2)
      grown.set(this.cells)
      this.cells = grown
    }
    this.cells.set(row, at)
  }

  /** @param columns how many to sort by */
  sort(columns: number): void {
    const { cells, width } = this
    this.order = Uint32Array.from({ length: this.count }, (_, row) => row).sort((a, b) => {
      for (let column = 0; column < columns; column++) {
        const difference = cells[a * width + column]! - cells[b * width + column]!
        if (difference !== 0) return difference
      }
      return a - b
    })
  }

  /** The number in a column of a row; rows count in sorted order. */
  cell(row: number, column: number): number {
    return this.cells[this.order![row]! * this.width + column]!
  }

  /** The first sorted row whose first column is `value` or more. */
  first(value: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.cell(middle, 0) < value) low = middle + 1
      else high = middle
    }
    return low
  }
}
