// Writes the Parquet and Avro files of this folder with implementations that
// share nothing with cw, and what they hold as CSV for PostgreSQL's COPY.
//   npm install avsc hyparquet-writer parquet-wasm apache-arrow @duckdb/node-api nodejs-polars && node make.mjs OUT
import { DuckDBInstance } from '@duckdb/node-api';
import pl from 'nodejs-polars';
import avro from 'avsc';
import fs from 'node:fs';
import { parquetWriteFile } from 'hyparquet-writer';
import * as arrow from 'apache-arrow';
import pw from 'parquet-wasm';

const out = process.argv[2];
const duck = await (await DuckDBInstance.create(':memory:')).connect();
const run = (sql) => duck.run(sql);

// Everything that DuckDB writes, with NULLs, and a dictionary worth having.
await run(`create table t as select
  i::integer as id, (i % 128)::tinyint as i8, (i * 7 - 300)::smallint as i16, (i * 1000003)::bigint * 1000 as i64,
  (i % 256)::utinyint as u8, (i * 300)::usmallint as u16, (i * 20000000)::uinteger as u32, (18446744073709551615 - i)::ubigint as u64,
  (i * 0.1)::float as f, case when i = 3 then 'nan'::double when i = 4 then 'inf'::double when i = 5 then '-inf'::double else i / 7.0 end as d,
  (i % 3 = 0) as b, (i * 1.25 - 100)::decimal(9,2) as d9, (i * 123456.789 - 5)::decimal(18,3) as d18, (i * 1234567890123.45678 - 7)::decimal(38,5) as d38,
  date '1900-02-28' + (i * 211)::integer as day, timestamp '1969-12-31 23:59:50' + i * interval 1 hour + i * interval 1 microsecond as us,
  (timestamp '2024-02-29 12:00:00' + i * interval 1 second)::timestamp_ms as ms, (timestamp '2024-02-29 12:00:00' + i * interval 17 second)::timestamptz as tz,
  time '23:59:59.999999' - i * interval 3 minute as tm, ('00000000-0000-4000-8000-' || lpad(i::varchar, 12, '0'))::uuid as u,
  case when i % 5 = 0 then null else 'name ' || (i % 11) end as dict, 'tab' || chr(9) || ' nl' || chr(10) || ' "q" \\ é😀 ' || i as s, '' as empty,
  ('\\x00\\xFF' || lpad(hex(i % 256), 2, '0'))::blob as bl,
  case when i % 4 = 0 then null when i % 4 = 1 then [] else [i, null, -i] end as l,
  {'a': i, 'b': case when i % 2 = 0 then null else 'x"' || i end, 'c': [{'d': i::double}]} as st,
  map([('k' || i)], [i]) as m, ('v' || (i % 3))::enum('v0', 'v1', 'v2') as e
from range(200) r(i)`);
const columns = `id, i8, i16, i64, u8, u16, u32, u64, f, d, b, d9, d18, d38, day, us, ms, tz, tm, u, dict, s, empty, '\\x' || hex(bl) as bl, to_json(l) as l, to_json(st) as st, to_json(m) as m, e`;
await run(`set timezone = 'UTC'`);
const csv = (select, name) => run(`copy (${select}) to '${out}/${name}.csv' (format csv, header false, force_quote (s, empty))`);
await run(`copy (select ${columns} from t order by id) to '${out}/duckdb.csv' (format csv, header false, force_quote (s, empty))`);
for (const [name, options] of Object.entries({
  duckdb_v1_snappy: `codec snappy, parquet_version v1`, duckdb_v1_gzip: `codec gzip, parquet_version v1`, duckdb_v2_zstd: `codec zstd, parquet_version v2, row_group_size 2048`,
  duckdb_v2_lz4: `codec lz4_raw, parquet_version v2`, duckdb_v2_brotli: `codec brotli, parquet_version v2`, duckdb_plain: `codec uncompressed, dictionary_size_limit 1`,
})) await run(`copy (select * from t order by id) to '${out}/${name}.parquet' (format parquet, ${options})`);

// Polars writes what it reads of DuckDB's plain columns.
const simple = 'id, i16, i64, f, d, b, day, us, dict, s, empty';
await run(`copy (select ${simple} from t order by id) to '${out}/.simple' (format parquet)`);
await run(`copy (select ${simple} from t order by id) to '${out}/simple.csv' (format csv, header false, force_quote (s, empty))`);
const df = pl.readParquet('${out}/.simple');
for (const compression of ['uncompressed', 'snappy', 'zstd', 'gzip']) df.writeParquet(`${out}/polars_${compression}.parquet`, { compression });
for (const compression of ['uncompressed', 'snappy', 'deflate']) {
  try { df.withColumns(pl.col('i16').cast(pl.Int32)).writeAvro(`${out}/polars_${compression}.avro`, { compression }); } catch (e) { console.log('polars avro', compression, String(e).slice(0, 200)); }
}

// arrow-rs, compiled to WebAssembly, writes what arrow's JavaScript made.
const n = 200, list = (f) => Array.from({ length: n }, (_, i) => f(i));
const words = list((i) => (i % 5 === 0 ? null : 'name ' + (i % 11))), texts = list((i) => `tab\t nl\n "q" \\ é😀 ${i}`);
const table = arrow.tableFromArrays({
  id: Int32Array.from(list((i) => i)), big: BigInt64Array.from(list((i) => BigInt(i) * 1000003n)), f: Float32Array.from(list((i) => i * 0.5)), d: Float64Array.from(list((i) => i / 7)),
  word: words, s: texts,
});
const quoted = (v) => (v === null ? '' : typeof v === 'string' ? '"' + v.replaceAll('"', '""') + '"' : String(v));
fs.writeFileSync(`${out}/arrow.csv`, list((i) => [i, BigInt(i) * 1000003n, i * 0.5, i / 7, words[i], texts[i]].map(quoted).join(',') + '\n').join(''));
const wasm = pw.Table.fromIPCStream(arrow.tableToIPC(table, 'stream'));
for (const [name, c, version] of [['snappy', pw.Compression.SNAPPY, pw.WriterVersion.V1], ['zstd', pw.Compression.ZSTD, pw.WriterVersion.V2], ['gzip', pw.Compression.GZIP, pw.WriterVersion.V2], ['brotli', pw.Compression.BROTLI, pw.WriterVersion.V1]]) {
  const properties = new pw.WriterPropertiesBuilder().setCompression(c).setWriterVersion(version).setMaxRowGroupSize(64).build();
  fs.writeFileSync(`${out}/arrowrs_${name}.parquet`, pw.writeParquet(pw.Table.fromIPCStream(arrow.tableToIPC(table, 'stream')), properties));
}
parquetWriteFile({ filename: `${out}/hyparquet.parquet`, columnData: [
  { name: 'id', data: list((i) => i), type: 'INT32' }, { name: 'big', data: list((i) => BigInt(i) * 1000003n), type: 'INT64' }, { name: 'f', data: list((i) => i * 0.5), type: 'FLOAT' },
  { name: 'd', data: list((i) => i / 7), type: 'DOUBLE' }, { name: 'word', data: words, type: 'STRING', nullable: true }, { name: 's', data: texts, type: 'STRING' },
] });

// avsc writes Avro of every type.
const schema = avro.Type.forSchema({ type: 'record', name: 'row', namespace: 'made.by.avsc', fields: [
  { name: 'id', type: 'int' }, { name: 'big', type: 'long' }, { name: 'f', type: 'float' }, { name: 'd', type: ['null', 'double'], default: null }, { name: 'b', type: 'boolean' },
  { name: 'word', type: ['null', 'string'] }, { name: 's', type: 'string' }, { name: 'raw', type: 'bytes' }, { name: 'fx', type: { type: 'fixed', name: 'four', size: 4 } },
  { name: 'e', type: { type: 'enum', name: 'kind', symbols: ['A', 'B'] } }, { name: 'l', type: { type: 'array', items: ['null', 'long'] } }, { name: 'm', type: { type: 'map', values: 'string' } },
  { name: 'r', type: ['null', { type: 'record', name: 'sub', fields: [{ name: 'x', type: 'int' }, { name: 'again', type: ['null', 'sub'] }] }] },
  { name: 'day', type: { type: 'int', logicalType: 'date' } }, { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
] }, { wrapUnions: false });
const rows = list((i) => ({
  id: i - 100, big: i * 1000003 * 1000, f: i * 0.5, d: i % 7 === 0 ? null : i / 7, b: i % 2 === 0, word: words[i], s: texts[i], raw: Buffer.from([0, i % 256, 255]), fx: Buffer.from([i % 256, 1, 2, 3]),
  e: i % 3 === 0 ? 'A' : 'B', l: i % 4 === 0 ? [] : [i, null], m: { ['k' + i]: 'v"' + i }, r: i % 6 === 0 ? null : { x: i, again: i % 6 === 1 ? { x: -i, again: null } : null },
  day: i * 100 - 5000, at: 1700000000123 + i * 86400000,
}));
const hex = (b) => '\\x' + b.toString('hex');
fs.writeFileSync(`${out}/avsc.csv`, rows.map((r) => [r.id, r.big, r.f, r.d, r.b, r.word, r.s, hex(r.raw), hex(r.fx), r.e, JSON.stringify(r.l), JSON.stringify(r.m), r.r && JSON.stringify(r.r),
  r.day, r.at].map(quoted).join(',') + '\n').join(''));
for (const codec of ['null', 'deflate']) await new Promise((done, fail) => {
  const e = avro.createFileEncoder(`${out}/avsc_${codec}.avro`, schema, { codec, blockSize: 2000 });
  for (const r of rows) e.write(r);
  e.end(); e.on('finish', () => setTimeout(done, 200)); e.on('error', fail);
});
