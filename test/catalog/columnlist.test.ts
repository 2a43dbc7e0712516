/** Columns as CREATE TABLE has them: types, what is passed over, what is refused. What a server's own format_type writes is in test/oracle/inspectfile.test.ts. */
import { describe, expect, test } from 'vitest'
import { parseColumnList } from '../../src/catalog/columnlist.ts'
import { ColumnListError } from '../../src/catalog/columnlisterror.ts'

/** `name type(typmod)` of each, the array types with their underscore. */
function read(text: string): string[] {
  const { attributes, types } = parseColumnList(text)
  const names = new Map(types.map(({ oid, name }) => [oid, name]))
  return attributes.map(({ name, type, len, align, dropped, virtual }) =>
    [name, dropped ? 'dropped' : names.get(type.oid), ...(type.typmod < 0 ? [] : [type.typmod]), ...(virtual ? ['virtual'] : []), `${len}/${align}`].join(' '))
}

describe('column lists', () => {
  test.each([
    ['id int, name text', ['id int4 4/4', 'name text -1/4']],
    ['a int4, B INTEGER, "B" SmallInt, d bigint', ['a int4 4/4', 'b int4 4/4', 'B int2 2/2', 'd int8 8/8']],
    ['a serial primary key, b bigserial', ['a int4 4/4', 'b int8 8/8']],
    ['a numeric, b numeric(10,2), c decimal(5), d numeric(3,-2)', ['a numeric -1/4', 'b numeric 655366 -1/4', 'c numeric 327684 -1/4', 'd numeric 198658 -1/4']],
    ['a varchar, b varchar(20), c character varying(3)', ['a varchar -1/4', 'b varchar 24 -1/4', 'c varchar 7 -1/4']],
    ['a char, b char(5), c character(7), d "char"', ['a bpchar 5 -1/4', 'b bpchar 9 -1/4', 'c bpchar 11 -1/4', 'd char 1/1']],
    ['a bit, b bit(8), c bit varying, d varbit(3)', ['a bit 1 -1/4', 'b bit 8 -1/4', 'c varbit -1/4', 'd varbit 3 -1/4']],
    ['a float, b float(24), c float(25), d real, e double precision', ['a float8 8/8', 'b float4 4/4', 'c float8 8/8', 'd float4 4/4', 'e float8 8/8']],
    ['a timestamp, b timestamp(3) with time zone, c time without time zone, d time(0) with time zone, e timestamptz',
      ['a timestamp 8/8', 'b timestamptz 3 8/8', 'c time 8/8', 'd timetz 0 12/8', 'e timestamptz 8/8']],
    ['a interval, b interval year to month, c interval(3), d interval day to second(2)', ['a interval 16/8', 'b interval 16/8', 'c interval 16/8', 'd interval 16/8']],
    ['a text[], b int[3][4], c numeric(5,1) array, d int8 array[3], e box[]', ['a _text -1/4', 'b _int4 -1/4', 'c _numeric 327685 -1/4', 'd _int8 -1/8', 'e _box -1/8']],
    ['a int4range, b tstzmultirange[], c pg_catalog.int8, d enum, e hstore', ['a int4range -1/4', 'b _tstzmultirange -1/8', 'c int8 8/8', 'd oid 4/4', 'e hstore -1/4']],
    ['- 4 i, a int, - 8, "........pg.dropped.4........" dropped -1 i, x raw 12 d, y raw -1',
      ['........pg.dropped.1........ dropped 4/4', 'a int4 4/4', '........pg.dropped.3........ dropped 8/8', '........pg.dropped.4........ dropped -1/4', 'x raw 12/8', 'y raw -1/4']],
    [`id int not null default nextval('a, b'), v text collate "C" check (v <> ',' and (1 = 1)) references t (a, b) on delete cascade`, ['id int4 4/4', 'v text -1/4']],
    ['a int generated always as identity (start 3), b int generated always as (a * 2) stored, c int generated always as (a + 1), d int generated always as (a) virtual',
      ['a int4 4/4', 'b int4 4/4', 'c int4 virtual 4/4', 'd int4 virtual 4/4']],
    ['a int, primary key (a, b), constraint x unique (a), foreign key (a) references t (a, b), b int', ['a int4 4/4', 'b int4 4/4']],
    ['"a ""b"", c" int, -- a comment, with a comma\n d int', ['a "b", c int4 4/4', 'd int4 4/4']],
  ])('%s', (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test.each([
    ['', /no column is named/],
    ['id', /a type is expected at the end/],
    ['id int name text', /a comma or a constraint is expected at 'name text'/],
    ['id int, id text', /the column "id" is named twice/],
    ['id mood', /the type 'mood' is not built in; give its base type, or 'raw <length> <alignment>'/],
    ['id constructor', /the type 'constructor' is not built in/], ['id __proto__', /the type '__proto__' is not built in/],
    ['id int(', /a number is expected at the end/],
    ['id numeric(10', /'\)' is expected at the end/],
    ['id "int', /the quote at '"int' is not closed/],
    ['id int default (1', /a bracket is not closed/],
    ['id int) , b int', /expected at '\) , b int'|closes nothing/],
    ['id int,, b int', /the name of a column is expected at ', b int'/],
    ['- 0', /attlen 0/],
    ['- x', /attlen: bytes, or -1 .* is expected at 'x'/],
    ['id timestamp with zone', /'time zone' is expected/],
    ['id double', /'precision' is expected at the end/],
    ['"" int', /an empty name/],
  ])('%s is refused', (text, message) => {
    expect(() => parseColumnList(text)).toThrow(ColumnListError)
    expect(() => parseColumnList(text)).toThrow(message)
  })
})
