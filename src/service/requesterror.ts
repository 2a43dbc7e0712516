/** What a request is answered with in place of what it asked for, by the error model of the REST specification. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly status: number
  /** As Iceberg's clients know it: `NoSuchTableException`. */
  readonly type: string

  constructor(status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }
}

export function badRequest(message: string): RequestError {
  return new RequestError(400, 'BadRequestException', message)
}

export function noTable(namespace: string, table: string): RequestError {
  return new RequestError(404, 'NoSuchTableException', `there is no table ${namespace}.${table}`)
}

export function noNamespace(namespace: string): RequestError {
  return new RequestError(404, 'NoSuchNamespaceException', `there is no namespace ${namespace}`)
}

export function noWarehouse(message: string): RequestError {
  return new RequestError(404, 'NoSuchWarehouseException', message)
}
