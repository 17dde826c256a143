package commands

import (
	"context"
	"path/filepath"
)

// personality is another program that this one is when it is called by its
// name, or as cw NAME. It gets the arguments after the name, prints that
// program's lines and returns its exit code.
type personality struct {
	main    func(ctx context.Context, streams *Streams, getenv func(string) string, args []string) int
	signals bool // it minds signals itself
}

func personalities() map[string]*personality {
	return map[string]*personality{"gpload": {gploadMain, true}, "gpfdist": {gpfdistMain, false}, "gpcheckperf": {gpcheckperfMain, false}}
}

// MindsSignals tells whether these arguments (argv[0] first) call another
// program that has its own ways with signals, or an agent, which a second
// signal must not keep from tidying up.
func MindsSignals(argv []string) bool {
	if len(argv) > 1 && argv[1] == agentVerb {
		return true
	}
	p, _ := findPersonality(argv)
	return p != nil && p.signals
}

func findPersonality(argv []string) (*personality, []string) {
	for i := range min(len(argv), 2) {
		name := argv[i]
		if i == 0 {
			name = filepath.Base(name)
		}
		if p := personalities()[name]; p != nil {
			return p, argv[i+1:]
		}
	}
	return nil, nil
}
