import { type Dirent, readdirSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { authenticationIncludes, FILE_SETTINGS, FOLDER_SETTINGS, parseSettings, type Setting } from '../../lake/serversettings.ts'
import { fileError, isMissing, readIfThere } from '../disk/files.ts'

/** What a server's configuration is made of. */
export interface Configuration {
  /** Files in the data directory, by their path in it; postgresql.conf and the like are not among them unless something names them. */
  inside: string[]
  /** What it names outside of the data directory. */
  outside: OutsideFile[]
  /** The value of each setting that has one: the last one counts, and postgresql.auto.conf's is the very last. */
  settings: ReadonlyMap<string, string>
}

export interface OutsideFile {
  /** The setting or the directive: `hba_file`, `include`. */
  name: string
  path: string
}

/** MAXINCLUDES is 10 (conffiles.h). */
const MAX_DEPTH = 10
const AUTHENTICATION_FILES = ['hba_file', 'ident_file']

/**
 * Reads postgresql.conf, postgresql.auto.conf and what they include. Files that are not there are no error: the server's own start says so.
 * @throws EnvironmentError file.* for a file that cannot be read
 */
export function readConfiguration(pgdata: string): Configuration {
  return new Reading(resolve(pgdata)).read()
}

class Reading {
  private readonly pgdata: string
  private readonly inside = new Set<string>()
  private readonly outside = new Map<string, OutsideFile>()
  private readonly settings = new Map<string, string>()

  constructor(pgdata: string) {
    this.pgdata = pgdata
  }

  read(): Configuration {
    for (const name of ['postgresql.conf', 'postgresql.auto.conf']) this.readSettings(join(this.pgdata, name), 0)
    for (const [name, byDefault] of Object.entries(FILE_SETTINGS)) {
      const value = this.settings.get(name) ?? byDefault
      if (value === '') continue
      const file = resolve(this.pgdata, value)
      this.note(name, file)
      if (AUTHENTICATION_FILES.includes(name)) this.readAuthentication(file, 0)
    }
    for (const name of FOLDER_SETTINGS) {
      const value = this.settings.get(name)
      if (value) this.noteFolder(name, resolve(this.pgdata, value), () => true)
    }
    const dataDirectory = this.settings.get('data_directory')
    if (dataDirectory) this.note('data_directory', resolve(this.pgdata, dataDirectory))
    return { inside: [...this.inside].sort(), outside: [...this.outside.values()], settings: this.settings }
  }

  private readSettings(file: string, depth: number): void {
    for (const setting of parseSettings(this.text(file))) {
      if (setting.name.startsWith('include')) this.follow(setting, file, (included) => this.readSettings(included, depth + 1), depth)
      else this.settings.set(setting.name, setting.value)
    }
  }

  private readAuthentication(file: string, depth: number): void {
    for (const include of authenticationIncludes(this.text(file))) this.follow(include, file, (included) => this.readAuthentication(included, depth + 1), depth)
  }

  private follow({ name, value }: Setting, from: string, read: (file: string) => void, depth: number): void {
    if (depth >= MAX_DEPTH) return
    const target = isAbsolute(value) ? value : join(dirname(from), value)
    // GetConfFilesInDir (conffiles.c).
    const files = name === 'include_dir' ? this.noteFolder(name, target, (entry) => entry.endsWith('.conf') && !entry.startsWith('.')) : [target]
    for (const file of files) {
      this.note(name, file)
      read(file)
    }
  }

  private noteFolder(name: string, folder: string, isWanted: (entry: string) => boolean): string[] {
    if (!this.isInside(folder)) this.note(name, folder)
    const files = filesIn(folder).filter(isWanted).map((entry) => join(folder, entry))
    for (const file of files) if (this.isInside(file)) this.note(name, file)
    return files
  }

  private note(name: string, file: string): void {
    if (file === this.pgdata) return
    if (this.isInside(file)) this.inside.add(relative(this.pgdata, file).split(sep).join('/'))
    else this.outside.set(`${name} ${file}`, { name, path: file })
  }

  private isInside(file: string): boolean {
    return file.startsWith(this.pgdata + sep)
  }

  /** Names are as Node gives names of files: UTF-8. */
  private text(file: string): string {
    return new TextDecoder().decode(readIfThere(file) ?? new Uint8Array(0))
  }
}

function filesIn(folder: string): string[] {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error)) return []
    throw fileError(error, folder)
  }
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name).sort()
}
