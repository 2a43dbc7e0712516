import { dataView } from '../../common/bytes.ts'
import { assert } from '../../common/errors.ts'

/** The characters of Z85 (ZeroMQ RFC 32), which need no escape in JSON. */
const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** Five characters for each four bytes, the greatest digit first. @param bytes a multiple of four */
export function z85Encode(bytes: Uint8Array): string {
  assert(bytes.length % 4 === 0, `Z85 of ${bytes.length} bytes`)
  const view = dataView(bytes)
  const text: string[] = []
  for (let at = 0; at < bytes.length; at += 4) {
    let word = view.getUint32(at)
    let digits = ''
    for (let i = 0; i < 5; i++) {
      digits = DIGITS[word % 85]! + digits
      word = Math.floor(word / 85)
    }
    text.push(digits)
  }
  return text.join('')
}
