// Package fdist speaks the gpfdist protocol, the HTTP that Greenplum,
// Cloudberry and their forks use for external tables: the server that segments
// read from and write to, and the client side of it as segments have it.
//
// What is read comes from Inputs, what is written goes to Outputs; the server
// knows sessions, sequence numbers, limits and connections, and nothing of
// files. FileInputs and FileOutputs are gpfdist's own kind; a load job brings
// its own.
package fdist
