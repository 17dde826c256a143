// Package external is the SQL side of a load into or out of Greenplum,
// Cloudberry and their forks: what the target table is, the external table
// that reads or writes it, the staging table and the statements of the modes
// insert, update and merge, the reuse of tables between loads, and the rows a
// load has rejected.
//
// The statements have the form that gpload gives them, because scripts and
// people read them in its messages; names and texts are always quoted.
package external
