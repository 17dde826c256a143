package state

// The kinds of events. Scripts filter by them: kinds are added, never renamed.
const (
	EventRegistered = "registered"
	EventCreated    = "created"
	EventAdopted    = "adopted"
	EventDeleted    = "deleted"
	EventStarted    = "started"
	EventStopped    = "stopped"
	EventRestarted  = "restarted"
	EventReloaded   = "reloaded"
	EventConfigured = "configured"
	EventPromoted   = "promoted"
	EventExpanded   = "expanded"
	EventShrunk     = "shrunk"

	EventMovesStarted   = "redistribution-started"
	EventMovesPaused    = "redistribution-paused"
	EventMovesContinued = "redistribution-continued"
	EventMovesFinished  = "redistribution-finished"
	EventTableGivenUp   = "table-given-up"

	EventStateChanged = "state-changed"
	EventFault        = "fault"
	EventRecovered    = "recovered"
	EventCheckFailed  = "check-failed"
	EventLimitChanged = "limit-changed"
	EventAction       = "action"
	EventNotTold      = "notification-failed"

	EventLoadStarted     = "load-started"
	EventLoadProgress    = "load-progress"
	EventLoadPaused      = "load-paused"
	EventLoadContinued   = "load-continued"
	EventLoadFinished    = "load-finished"
	EventLoadFailed      = "load-failed"
	EventLoadCancelled   = "load-cancelled"
	EventLoadInterrupted = "load-interrupted"

	EventUnloadStarted     = "unload-started"
	EventUnloadProgress    = "unload-progress"
	EventUnloadPaused      = "unload-paused"
	EventUnloadContinued   = "unload-continued"
	EventUnloadFinished    = "unload-finished"
	EventUnloadFailed      = "unload-failed"
	EventUnloadCancelled   = "unload-cancelled"
	EventUnloadInterrupted = "unload-interrupted"

	EventPerfStarted  = "perf-started"
	EventPerfFinished = "perf-finished"

	EventAlert          = "alert"
	EventAlertResolved  = "alert-resolved"
	EventSilenced       = "alert-silenced"
	EventHealing        = "auto-recovery"
	EventHealingFailed  = "auto-recovery-failed"
	EventMonitorActs    = "monitor-acts"
	EventMonitorStopped = "monitor-stopped"
)

// EventKind is a kind of event and what it means.
type EventKind struct {
	Kind string `json:"type"`
	// Severity is that of an event which says nothing else.
	Severity string `json:"severity"`
	Meaning  string `json:"meaning"`
}

// EventKinds is the one table of the kinds of events. A warning is worth a
// look; critical is what somebody has to do something about.
func EventKinds() []EventKind {
	return []EventKind{
		{EventRegistered, Info, "A cluster became known to cw: its creation or adoption has begun."},
		{EventCreated, Info, "A cluster was created and runs."},
		{EventAdopted, Info, "A cluster that somebody else made was taken over as it is."},
		{EventDeleted, Info, "A cluster and all its data were removed."},
		{EventStarted, Info, "A cluster was started."},
		{EventStopped, Info, "A cluster was stopped."},
		{EventRestarted, Info, "A cluster was stopped and started."},
		{EventReloaded, Info, "All nodes of a cluster read their configuration files again."},
		{EventConfigured, Info, "Settings of a cluster were changed, or taken back."},
		{EventPromoted, Warning, "Another node became the primary or coordinator, on an operator's word."},
		{EventExpanded, Info, "Nodes were added to a cluster."},
		{EventShrunk, Info, "Nodes were taken out of a cluster."},
		{EventMovesStarted, Info, "Tables of a cluster are being moved to another number of segments (data: target)."},
		{EventMovesPaused, Info, "No further table of a cluster is moved until that is continued."},
		{EventMovesContinued, Info, "Moving the tables of a cluster goes on."},
		{EventMovesFinished, Info, "All tables of a cluster are on the wanted number of segments (data: tables)."},
		{EventTableGivenUp, Warning, "A table could not be moved to another number of segments; others go on (data: database, table, attempts)."},
		{EventStateChanged, Warning, "A cluster or a node was seen in another state than before (data: from, to)."},
		{EventFault, Critical, "Something broke: a node or host is gone, a load lost its database, or a run of cw did not finish."},
		{EventRecovered, Info, "What had a fault is well again."},
		{EventCheckFailed, Warning, "Required checks of hosts failed (data: failed)."},
		{EventLimitChanged, Info, "The speed limit of a load or unload was changed (data: from, to in bytes per second, by)."},
		{EventAction, Info, "An operator had something done: a load paused or cancelled, a session ended, a lock taken away (data: by)."},
		{EventNotTold, Warning, "Somebody who is to be told of a job's end (NOTIFY), or of an alert, could not be told."},
		{EventLoadStarted, Info, "A load began, or went on where it had ended."},
		{EventLoadProgress, Info, "How far a load is: every 10 %, and after a while without."},
		{EventLoadPaused, Info, "A load reads nothing more until it is continued."},
		{EventLoadContinued, Info, "A paused load goes on."},
		{EventLoadFinished, Info, "A load is through; a warning when rows were rejected (data: state, rows, bytes, rejected)."},
		{EventLoadFailed, Critical, "A load failed; what is committed stays, and it can be resumed."},
		{EventLoadCancelled, Info, "A load was ended by an operator."},
		{EventLoadInterrupted, Warning, "A load was stopped by a signal; it can be resumed."},
		{EventUnloadStarted, Info, "An unload began."},
		{EventUnloadProgress, Info, "How far an unload is: every 10 % where the size is known, and after a while without."},
		{EventUnloadPaused, Info, "An unload writes nothing more until it is continued."},
		{EventUnloadContinued, Info, "A paused unload goes on."},
		{EventUnloadFinished, Info, "An unload is through: its objects are complete."},
		{EventUnloadFailed, Critical, "An unload failed."},
		{EventUnloadCancelled, Info, "An unload was ended by an operator."},
		{EventUnloadInterrupted, Warning, "An unload was stopped by a signal."},
		{EventPerfStarted, Info, "A performance check began, or went on."},
		{EventPerfFinished, Info, "A performance check ended; a warning unless its verdict is pass (data: run, verdict)."},
		{EventAlert, Warning, "A monitor found something wrong, and it stayed so (data: alert, rule, object)."},
		{EventAlertResolved, Info, "What an alert was about is well again (data: alert, rule, object)."},
		{EventSilenced, Info, "An operator had alerts silenced, or the silence ended before its time (data: by)."},
		{EventHealing, Warning, "A monitor recovers failed nodes by itself (data: attempt, of, nodes)."},
		{EventHealingFailed, Critical, "A monitor could not recover failed nodes (data: attempt, nodes)."},
		{EventMonitorActs, Info, "A monitor began to act; others with the same store stand by (data: by)."},
		{EventMonitorStopped, Info, "The monitor that acted was stopped (data: by)."},
	}
}

// usualSeverity is the severity of an event that says none.
func usualSeverity(kind string) string {
	for _, k := range EventKinds() {
		if k.Kind == kind {
			return k.Severity
		}
	}
	return Info
}

// Severities are the severities, the mildest first.
func Severities() []string { return []string{Info, Warning, Critical} }
