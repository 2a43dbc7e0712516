/** The error for a text that is no list of columns. Its message says what is wrong, and where in the text. */
export class ColumnListError extends Error {
  override readonly name = 'ColumnListError'
}
