/** The published OpenAPI file of Iceberg's REST catalog as a judge of answers (restcatalog.yaml). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { parse } from 'yaml'

interface Operation {
  readonly responses: Readonly<Record<string, { readonly $ref?: string } | undefined>>
  readonly requestBody?: object
}

type Paths = Readonly<Record<string, Readonly<Record<string, Operation | undefined>>>>

const SPECIFICATION = parse(readFileSync(join(import.meta.dirname, 'restcatalog.yaml'), 'utf8')) as { paths: Paths; components: object }
const JSON_CONTENT = 'content/application~1json/schema'
const ERROR = '#/components/schemas/IcebergErrorResponse'

const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'rest', ...SPECIFICATION })
const compiled = new Map<string, ValidateFunction>()

/** What is wrong with a value by the schema that a JSON pointer of the file leads to; undefined for nothing. */
export function schemaFault(pointer: string, value: unknown): string | undefined {
  const validate = compiled.get(pointer) ?? ajv.compile({ $ref: `rest${pointer}` })
  compiled.set(pointer, validate)
  return validate(value) ? undefined : ajv.errorsText(validate.errors).slice(0, 1000)
}

/** Operations as `GET /v1/config` lists them. */
export function operations(): string[] {
  return Object.entries(SPECIFICATION.paths).flatMap(([path, methods]) => (
    Object.keys(methods).filter((method) => method !== 'parameters').map((method) => `${method.toUpperCase()} ${path}`)))
}

/** What is wrong with an answer to an operation of the file: the operation has no such status, or the status no such body. */
export async function answerFault(operation: string, response: Response): Promise<string | undefined> {
  const [method, path] = operation.split(' ') as [string, string]
  const { status } = response
  const text = await response.clone().text()
  const known = SPECIFICATION.paths[path]?.[method.toLowerCase()]?.responses
  const key = [String(status), `${String(status)[0]}XX`].find((name) => known?.[name] !== undefined)
  if (known !== undefined && key === undefined) return `${operation} has no status ${status}: ${text.slice(0, 300)}`
  if (method === 'HEAD' || status === 204 || status === 304) return text === '' ? undefined : `${status} has a body: ${text.slice(0, 300)}`
  const body = JSON.parse(text) as unknown
  const pointer = status >= 400 ? ERROR : `${known?.[key!]?.$ref ?? `#/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method.toLowerCase()}/responses/${key!}`}/${JSON_CONTENT}`
  const fault = schemaFault(encodeURI(pointer), body)
  return fault === undefined ? undefined : `${operation} ${status}: ${fault}: ${text.slice(0, 500)}`
}
