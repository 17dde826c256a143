//go:build !race

package fdist

const underRace = false
