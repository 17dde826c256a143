// Package gpload is the personality gpload: it takes that program's options
// and control files, goes through its course of a load, prints its lines and
// returns its exit codes, so that scripts and schedules move over unchanged.
// What it does with the database is loadspec/external, what it serves to the
// segments loadspec/fdist.
//
// Where gpload 6 is at fault it does better, in silence: one transaction for
// insert too, Greenplum 7's merge, a STAGING_TABLE is looked at before it is
// used, rejected rows outlive the external table, nothing is left behind.
package gpload
