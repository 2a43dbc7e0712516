/** A text as SQL writes one. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A path as a glob pattern that matches nothing else. */
export function globEscape(path: string): string {
  return path.replace(/[[*?]/g, '[$&]')
}

/** Not a structure row: offset 0 stands for an empty page, and a line pointer that is not NORMAL has no tuple. */
export const IS_TUPLE = `"_row"."_ltap"."offset" > 0 AND coalesce("_row"."_ltap"."lp"."state", 1) = 1`
