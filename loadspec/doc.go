// Package loadspec is the load control file: the table of its keys, the model
// they are read into, and what may stand beside what. The file is a superset
// of gpload's, keys are matched without regard to case, and everything wrong
// with a file is reported at once with file, line, column and nearest key.
// It is a leaf: reading the file is its only contact with the world; what the
// file names is looked at by loadspec/run.
package loadspec
