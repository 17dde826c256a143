//go:build race

package fdist

// underRace: the race detector multiplies memory and time.
const underRace = true
