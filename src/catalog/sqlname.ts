/** Keywords of Postgres 18 that are not unreserved (kwlist.h): as identifiers they need quotes. */
const KEYWORDS = new Set(`
  all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char character check
  coalesce collate collation column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
  current_timestamp current_user dec decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
  freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join json
  json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading
  least left like limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on
  only or order out outer overlaps overlay placing position precision primary real references returning right row select session_user setof
  similar smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user
  using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
  xmlpi xmlroot xmlserialize xmltable
`.trim().split(/\s+/))

/** quote_identifier (ruleutils.c). */
export function quoteIdentifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !KEYWORDS.has(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** SQL names of types that have another typname (format_type.c). */
const TYPE_NAMES: Readonly<Record<string, string>> = {
  bool: 'boolean', int2: 'smallint', int4: 'integer', int8: 'bigint', float4: 'real', float8: 'double precision', varchar: 'character varying',
  varbit: 'bit varying', time: 'time without time zone', timetz: 'time with time zone', timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone', numeric: 'numeric', interval: 'interval', bpchar: 'bpchar', bit: '"bit"', char: '"char"',
}

/**
 * format_type_with_typemod of a type of pg_catalog.
 * @returns undefined where a typmod has a form that is not known here
 */
export function typeName(typname: string, typmod: number): string | undefined {
  const name = TYPE_NAMES[typname] ?? quoteIdentifier(typname)
  if (typmod < 0) return name
  switch (typname) {
    case 'varchar':
      return `character varying(${typmod - 4})`
    case 'bpchar':
      return `character(${typmod - 4})`
    case 'bit':
    case 'varbit':
      return `${typname === 'bit' ? 'bit' : name}(${typmod})`
    case 'numeric':
      return `numeric(${((typmod - 4) >> 16) & 0xffff},${(((typmod - 4) & 0x7ff) ^ 1024) - 1024})`
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
      return name.replace(' ', `(${typmod}) `)
    default:
      return undefined
  }
}
