import { binaryCodec } from './bytea.ts'
import type { Codec } from '../codec.ts'

/** Any type that has no codec of its own, pseudo-types like anyarray too: the stored payload as it is, never a guess at its meaning. */
export const opaqueCodec: Codec = binaryCodec('opaque')
