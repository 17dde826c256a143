package loadspec

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"cw/schema"
)

// Notify is somebody who is told how a job ended: one of the three is set.
type Notify struct {
	Webhook     string // URL
	WebhookFile string // file that holds the URL, for one that is a secret
	Exec        string // command, run by sh
	On          []string
}

// The ends of a job that can be told of; all of them where On is empty.
const (
	EndDone        = "done"
	EndPartial     = "partial"
	EndFailed      = "failed"
	EndCancelled   = "cancelled"
	EndInterrupted = "interrupted"
)

func notifyKey() schema.Key {
	return schema.Key{Name: "NOTIFY", Type: schema.List, Doc: "Who is told when the job ends; tried again for about a minute.", Elem: &schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "WEBHOOK", Doc: "URL that gets the result as JSON by POST.", Example: "https://hooks.example.com/x"},
		{Name: keyWebhookFile, Doc: "File that holds such a URL, where the URL itself is a secret.", Example: "/etc/cw/hook.url"},
		{Name: keyExec, Doc: "Command that sh runs, with the result as JSON on its standard input and in CW_JOB, CW_STATE, CW_ROWS, CW_REJECTED, CW_ERROR.", Example: "./done.sh"},
		{
			Name: "ON", Type: schema.List, Doc: "Ends that are told of; default all.", Example: "[failed, partial]",
			Elem: &schema.Key{Type: schema.Enum, Enum: []string{EndDone, EndPartial, EndFailed, EndCancelled, EndInterrupted}},
		},
	}}}
}

type notifyFile struct {
	Webhook     string   `yaml:"WEBHOOK"`
	WebhookFile string   `yaml:"WEBHOOK_FILE"`
	Exec        string   `yaml:"EXEC"`
	On          []string `yaml:"ON"`
}

func (v *validator) notify(list []notifyFile) []Notify {
	var out []Notify
	for i, f := range list {
		path := fmt.Sprintf("GPLOAD.NOTIFY[%d]", i)
		n := Notify(f)
		set := 0
		for _, s := range []string{f.Webhook, f.WebhookFile, f.Exec} {
			if strings.TrimSpace(s) != "" {
				set++
			}
		}
		if set != 1 {
			v.fail(path, "wants one of WEBHOOK, WEBHOOK_FILE and EXEC")
		}
		if f.Webhook != "" && !hookURL(f.Webhook) {
			v.fail(path+".WEBHOOK", "is not a URL: write https://host/path")
		}
		out = append(out, n)
	}
	return out
}

func hookURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// Wants tells whether n is told of a job's end.
func (n Notify) Wants(end string) bool { return len(n.On) == 0 || slices.Contains(n.On, end) }

// Hook is the URL to send to, "" for a command.
func (n Notify) Hook() (string, error) {
	if n.WebhookFile == "" {
		return n.Webhook, nil
	}
	data, err := os.ReadFile(n.WebhookFile)
	if err != nil {
		return "", fmt.Errorf("WEBHOOK_FILE: %w", err)
	}
	s := strings.TrimSpace(string(data))
	if !hookURL(s) {
		return "", fmt.Errorf("WEBHOOK_FILE: %s does not hold a URL as https://host/path", n.WebhookFile)
	}
	return s, nil
}

// Name tells who n is without giving a secret away.
func (n Notify) Name() string {
	switch {
	case n.WebhookFile != "":
		return "webhook of " + n.WebhookFile
	case n.Exec != "":
		return "command " + n.Exec
	}
	if u, err := url.Parse(n.Webhook); err == nil {
		return "webhook " + u.Scheme + "://" + u.Host
	}
	return "webhook"
}
