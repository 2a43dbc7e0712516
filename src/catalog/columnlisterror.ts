/** A list of columns that a user wrote is not one; the message says what is wrong, and where in the text. */
export class ColumnListError extends Error {
  override readonly name = 'ColumnListError'
}
