// Assembles native/recordcrc.wat and puts the bytes where src imports them: `npm run build:native`, after a change of the .wat file.
import { readFileSync, writeFileSync } from 'node:fs'
import wabt from 'wabt'

const { parseWat } = await wabt()
const module = parseWat('recordcrc.wat', readFileSync(new URL('recordcrc.wat', import.meta.url), 'utf8'))
const lines = Buffer.from(module.toBinary({}).buffer).toString('base64').match(/.{1,120}/g).map((line) => `  '${line}'`)
module.destroy()
writeFileSync(new URL('../src/wal/recordcrcwasm.ts', import.meta.url),
  `/** native/recordcrc.wat, assembled by native/build.mjs; in base64. */\nexport const RECORD_CRC_WASM =\n${lines.join(' +\n')}\n`)
