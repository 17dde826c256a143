// Package speed decides how fast a job may go: by the time of the day, by how
// the database does, and by its share of a limit that several jobs have
// together. It is arithmetic on what it is told; it measures nothing and
// waits for nothing.
package speed
