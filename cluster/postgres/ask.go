package postgres

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"cw/remote"
)

// Ask asks the primary a question as the superuser, over its unix socket: what
// the database's admin may not read, as how passwords are stored. Each row
// comes as JSON. The transaction can only read and ends after limit. The
// question is a constant to psql, which therefore obeys no backslash in it.
func (e *Engine) Ask(ctx context.Context, database, question string, limit time.Duration) ([]string, error) {
	n := e.lay.Primary()
	b, err := e.binaries(ctx, n.Host)
	if err != nil {
		return nil, err
	}
	if database == "" {
		database = e.top.Database.Name
	}
	question = "select row_to_json(answer)::jsonb::text from (" + strings.TrimRight(strings.TrimSpace(question), ";") + ") answer"
	script := fmt.Sprintf("\\set ON_ERROR_STOP 1\nset standard_conforming_strings = on;\nbegin read only;\nset local statement_timeout = %d;\nset local lock_timeout = '2s';\nselect %s \\gexec\nrollback;\n", limit.Milliseconds(), literal(question))
	conninfo := fmt.Sprintf("host=%s port=%d dbname=%s user=%s connect_timeout=5 application_name='cw report'", connValue(n.SocketDir()), n.Port, connValue(database), connValue(e.top.OSUser))
	res, err := e.Fleet.Host(n.Host).Run(ctx, remote.Cmd{
		Args:  []string{path.Join(b.Dir, "psql"), "-X", "-q", "-A", "-t", "-d", conninfo},
		Stdin: strings.NewReader(script), As: e.top.OSUser, Dir: "/",
	})
	var exit *remote.ExitError
	if errors.As(err, &exit) {
		return nil, serverError(exit.Stderr)
	}
	if err != nil {
		return nil, err
	}
	var rows []string
	for line := range strings.Lines(string(res.Stdout)) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, line)
		}
	}
	return rows, nil
}

// serverError is what the server said, of all that psql says.
func serverError(text string) error {
	_, said, found := strings.Cut(text, "ERROR:")
	if !found {
		said = text
	}
	said, _, _ = strings.Cut(strings.TrimSpace(said), "\n")
	if strings.Contains(said, "statement timeout") {
		return fmt.Errorf("%w: %s", context.DeadlineExceeded, said)
	}
	return errors.New(said)
}
