package report

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"cw/monitor/inspect"
)

// backup finds traces of backups that SQL can see. What leaves none is not
// known, and that is said: a guess would be worse.
func (b *builder) backup(ctx context.Context) error {
	b.r.Backup = &Backup{}
	if b.greenplum() {
		return b.gpbackup(ctx)
	}
	return b.baseBackup(ctx)
}

// archiver reads the state of continuous archiving.
func (b *builder) archiver(ctx context.Context) (command string) {
	type row struct {
		Mode, Command string
		Archived      *time.Time
		Failed        *time.Time
		Failures      int64
	}
	found, err := ask[row](ctx, b.ask, "", `select current_setting('archive_mode') as mode, current_setting('archive_command') as command,
  last_archived_time as archived, last_failed_time as failed, failed_count as failures from pg_stat_archiver`)
	if err != nil || len(found) != 1 {
		b.missing(SectionBackup, "", err)
		return ""
	}
	r := found[0]
	b.r.Backup.Archive = &Archive{Mode: r.Mode, LastArchived: r.Archived, LastFailed: r.Failed, Failures: r.Failures}
	return r.Command
}

// baseBackup looks for the history file that every base backup leaves in the
// log's folder where archiving is on, whoever takes it: pg_basebackup,
// pgBackRest, WAL-G, Barman.
func (b *builder) baseBackup(ctx context.Context) error {
	command := b.archiver(ctx)
	type row struct {
		At    time.Time
		Label string
	}
	const files = `select modification as at, %s as label from pg_ls_waldir() where name ~ '^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$' order by 1 desc limit 1`
	found, err := ask[row](ctx, b.ask, "", strings.Replace(files, "%s", "pg_read_file('pg_wal/' || name, 0, 8192)", 1))
	if err != nil { // only superusers may read the file, monitors may list it
		found, err = ask[row](ctx, b.ask, "", strings.Replace(files, "%s", "''", 1))
	}
	if err != nil {
		return fmt.Errorf("the log's folder cannot be listed: %w", err)
	}
	if len(found) == 0 {
		b.r.Backup.WhyNot = "no base backup has left a trace in the server's log folder; what is kept elsewhere, as volume snapshots or pg_dump's files, cannot be seen from here"
		if tool := toolOf(command); tool != "" {
			b.r.Backup.WhyNot += "; the log is archived by " + tool + ", whose own list of backups says more"
		}
		return nil
	}
	label := labelOf(found[0].Label)
	if label == "" {
		label = toolOf(command)
	}
	by := "the history file of a base backup"
	if label != "" {
		by += " (" + b.o.Redact(label) + ")"
	}
	b.known(found[0].At, by)
	return nil
}

func (b *builder) known(at time.Time, by string) {
	at = at.UTC().Truncate(time.Second)
	age := int64(b.o.Now.Sub(at).Seconds())
	b.r.Backup.Known, b.r.Backup.Newest, b.r.Backup.AgeSeconds, b.r.Backup.By = true, &at, &age, by
}

// labelOf is what a backup's history file says of who took it.
func labelOf(text string) string {
	for line := range strings.Lines(text) {
		if label, ok := strings.CutPrefix(line, "LABEL: "); ok {
			return shorten(label)
		}
	}
	return ""
}

// toolOf knows the tools that archive by their command.
func toolOf(command string) string {
	for _, t := range [][2]string{{"pgbackrest", "pgBackRest"}, {"wal-g", "WAL-G"}, {"barman", "Barman"}, {"wal-e", "WAL-E"}} {
		if strings.Contains(strings.ToLower(command), t[0]) {
			return t[1]
		}
	}
	return ""
}

// gpbackup reads the history that gpbackup keeps in the coordinator's folder.
func (b *builder) gpbackup(ctx context.Context) error {
	type file struct{ Name string }
	files, err := ask[file](ctx, b.ask, "", `select name from pg_ls_dir('.') as name where name in ('gpbackup_history.yaml', 'gpbackup_history.db')`)
	if err != nil {
		return fmt.Errorf("gpbackup's history cannot be looked for: %w", err)
	}
	for _, f := range files { // the database is the newer form, into which the other is taken over
		if f.Name == "gpbackup_history.db" {
			return b.gpbackupDatabase(ctx)
		}
	}
	if len(files) > 0 {
		return b.gpbackupYAML(ctx)
	}
	b.r.Backup.WhyNot = "gpbackup has no history in the coordinator's folder; what else may take backups cannot be seen from here"
	return nil
}

func (b *builder) gpbackupYAML(ctx context.Context) error {
	type text struct{ Text string }
	got, err := ask[text](ctx, b.ask, "", "select pg_read_file('gpbackup_history.yaml', 0, 33554432) as text")
	if err != nil {
		return fmt.Errorf("gpbackup's history cannot be read: %w", err)
	}
	newest := ""
	if len(got) == 1 {
		if newest, err = newestGpbackup([]byte(got[0].Text)); err != nil {
			return fmt.Errorf("gpbackup's history: %w", err)
		}
	}
	return b.gpbackupKnown(ctx, newest)
}

// gpbackupKnown notes the backup of a time stamp, which is in the server's own
// time zone.
func (b *builder) gpbackupKnown(ctx context.Context, newest string) error {
	if newest == "" {
		b.r.Backup.WhyNot = "gpbackup's history has no backup that has succeeded and is still there"
		return nil
	}
	type stamp struct{ At time.Time }
	at, err := ask[stamp](ctx, b.ask, "", "select to_timestamp('"+newest+"', 'YYYYMMDDHH24MISS') as at")
	if err != nil {
		return err
	}
	if len(at) == 1 {
		b.known(at[0].At, "gpbackup's history")
	}
	return nil
}

// newestGpbackup is the time stamp of the newest backup of a history that has
// succeeded and was not deleted.
func newestGpbackup(text []byte) (string, error) {
	var history struct {
		Backups []struct {
			Timestamp   string `yaml:"timestamp"`
			Status      string `yaml:"status"`
			DateDeleted string `yaml:"datedeleted"`
			OnlyNames   bool   `yaml:"metadataonly"`
		} `yaml:"backupconfigs"`
	}
	if err := yaml.Unmarshal(text, &history); err != nil {
		return "", err
	}
	newest := ""
	for _, h := range history.Backups {
		if isStamp(h.Timestamp) && (h.Status == "" || strings.EqualFold(h.Status, "success")) && h.DateDeleted == "" && !h.OnlyNames {
			newest = max(newest, h.Timestamp)
		}
	}
	if newest == "" && len(history.Backups) == 0 && strings.TrimSpace(string(text)) != "" && !strings.Contains(string(text), "backupconfigs") {
		return "", errors.New("it has no backupconfigs")
	}
	return newest, nil
}

// isStamp tells whether a text is a time stamp of gpbackup's.
func isStamp(s string) bool {
	_, err := time.Parse("20060102150405", s)
	return err == nil && len(s) == 14
}

// What the report itself finds, beside the rules.
const (
	ruleBackup = "backup.age"
	oldBackup  = 7 * 24 * time.Hour
	goneBackup = 30 * 24 * time.Hour
)

// ownBackup says when the newest backup is old.
func (b *builder) ownBackup() {
	k := b.r.Backup
	if k == nil || !k.Known {
		return
	}
	age := time.Duration(*k.AgeSeconds) * time.Second
	severity := inspect.Warning
	switch {
	case age < oldBackup:
		return
	case age >= goneBackup:
		severity = inspect.Critical
	}
	v := age.Seconds()
	b.add(inspect.Finding{
		Rule: ruleBackup, Title: "The newest backup is old", Severity: severity, Object: b.o.Cluster, Value: &v, Unit: inspect.Seconds,
		Text: "taken " + days(age) + " ago, known from " + k.By, Remedy: "take one, and find out why none was taken since",
	})
}
