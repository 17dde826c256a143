package cluster

// AdoptOptions name the cluster that is to be taken over.
type AdoptOptions struct {
	Name    string // what it is to be called
	Address string // host of its primary (the coordinator): where SSH goes
	Port    int    // of the database there
	SSH     SSH    // how to get into all of its hosts
	OSUser  string // who owns the database; "" is found out, which needs root or sudo
	Engine  string // kind; "" is found out
}

// Found is a cluster that somebody else made, as it was found.
type Found struct {
	Topology *Topology `json:"topology"`
	Layout   *Layout   `json:"layout"`
	// Notes are what will not be as with a cluster that cw made, one sentence
	// each: replicas that were not found, settings that cw does not know.
	Notes []string `json:"notes"`
}
