package speed

// Share divides a limit between takers that go at the given rates, all in
// bytes per second: those that use less than an even share keep some room to
// grow and leave the rest to the others. The shares of a limit of 0, which is
// none, are 0.
func Share(limit int64, rates []int64) []int64 {
	n := int64(len(rates))
	shares := make([]int64, n)
	if limit == 0 || n == 0 {
		return shares
	}
	even := limit / n
	spare, hungry := int64(0), int64(0)
	for i, rate := range rates {
		shares[i] = even
		if rate < even/2 {
			shares[i] = max(2*rate, even/8, 1)
			spare += even - shares[i]
		} else {
			hungry++
		}
	}
	for i := range shares {
		if hungry > 0 && shares[i] == even {
			shares[i] += spare / hungry
		}
	}
	return shares
}
