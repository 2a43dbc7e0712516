/*
 * A server's configuration, as text (guc-file.l, hba.c): enough to know which other files it names.
 *
 *   name = value          the = may be missing; 'it''s' or plain; # begins a comment
 *   include 'file'        include_if_exists, include_dir; relative to the folder of the file that says it
 */
const LINE = /^\s*([A-Za-z_][\w.$]*)\s*=?\s*(?:'((?:[^'\\\n]|''|\\.)*)'|([^\s#'=][^\s#']*))\s*(?:#.*)?$/

export interface Setting {
  /** In lower case. */
  name: string
  value: string
}

/** Settings and includes in the order of the file; lines that are neither are passed over, since no server starts with them. */
export function parseSettings(text: string): Setting[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const [, name, quoted, plain] = LINE.exec(line) ?? []
    return name === undefined ? [] : [{ name: name.toLowerCase(), value: plain ?? unescape(quoted ?? '') }]
  })
}

/** DeescapeQuotedString (guc-file.l), but for numbers: a path has none. */
function unescape(quoted: string): string {
  return quoted.replaceAll(/''|\\(.)/g, (_, escaped: string | undefined) => escaped ?? "'")
}

/**
 * The files that pg_hba.conf or pg_ident.conf names (next_token, hba.c): `@file` in any column, since 16 also `include`, `include_if_exists` and
 * `include_dir`.
 */
export function authenticationIncludes(text: string): Setting[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const tokens = line.match(/#.*|"(?:[^"]|"")*"|@"(?:[^"]|"")*"|[^\s,"#]+/g)?.filter((token) => !token.startsWith('#')) ?? []
    const first = tokens[0]?.toLowerCase()
    if (first !== undefined && /^include(?:_if_exists|_dir)?$/.test(first)) return tokens[1] === undefined ? [] : [{ name: first, value: unquote(tokens[1]) }]
    return tokens.filter((token) => token.startsWith('@') && token.length > 1).map((token) => ({ name: 'include', value: unquote(token.slice(1)) }))
  })
}

function unquote(token: string): string {
  return token.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') : token
}

/** Settings whose value is the name of a file, and the name that counts if it is not set; all are relative to the data directory. */
export const FILE_SETTINGS: Readonly<Record<string, string>> = {
  hba_file: 'pg_hba.conf', ident_file: 'pg_ident.conf', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: '', ssl_crl_file: '',
  ssl_dh_params_file: '', krb_server_keyfile: '',
}
/** The same of a folder: each file in it. */
export const FOLDER_SETTINGS: readonly string[] = ['ssl_crl_dir']
