package perfcheck

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Hostname   string          `xml:"hostname,attr"`
	Properties *junitProps     `xml:"properties,omitempty"`
	Cases      []junitTestCase `xml:"testcase"`
}

type junitProps struct {
	Properties []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitTestCase struct {
	ClassName  string        `xml:"classname,attr"`
	Name       string        `xml:"name,attr"`
	Time       string        `xml:"time,attr"`
	Properties *junitProps   `xml:"properties,omitempty"`
	Skipped    *junitMessage `xml:"skipped,omitempty"`
	Error      *junitMessage `xml:"error,omitempty"`
	Failure    *junitMessage `xml:"failure,omitempty"`
	SystemOut  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes a report as JUnit XML, which every CI server reads: an
// area is a suite, a test on a host or pair is a case whose class is the
// test's id. Fail is a failure, Error an error, Skipped and Inconclusive are
// skipped with the reason, Warn passes with it in the output.
func WriteJUnit(w io.Writer, r *Report) error {
	took := r.Run.Finished.Sub(r.Run.Started).Seconds()
	out := junitSuites{Name: "cw perf " + r.Run.ID, Time: strconv.FormatFloat(max(took, 0), 'f', 3, 64)}
	for i := range r.Tests {
		t := &r.Tests[i]
		n := slices.IndexFunc(out.Suites, func(s junitSuite) bool { return s.Name == string(t.Area) })
		if n < 0 {
			n = len(out.Suites)
			out.Suites = append(out.Suites, junitSuite{
				Name: string(t.Area), Time: "0.000", Timestamp: r.Run.Started.UTC().Format("2006-01-02T15:04:05"), Hostname: hostname(r),
				Properties: &junitProps{[]junitProperty{{"run", r.Run.ID}, {"profile", r.Run.Profile}, {"version", r.Tool.Version}, {"engine", r.Tool.Engine}, {"verdict", string(r.Verdict)}}},
			})
		}
		s := &out.Suites[n]
		c := junitCase(t)
		s.Tests++
		out.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
			out.Failures++
		case c.Error != nil:
			s.Errors++
			out.Errors++
		case c.Skipped != nil:
			s.Skipped++
			out.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// hostname is the host of a run on one, or how many there were.
func hostname(r *Report) string {
	if len(r.Hosts) == 1 {
		return r.Hosts[0].Name
	}
	return fmt.Sprintf("%d hosts", len(r.Hosts))
}

func junitCase(t *Test) junitTestCase {
	c := junitTestCase{ClassName: t.ID, Name: t.Where(), Time: "0.000"}
	props := &junitProps{}
	for _, name := range t.MetricNames() {
		m := t.Metrics[name]
		props.Properties = append(props.Properties, junitProperty{name + " (" + m.Unit + ")", strconv.FormatFloat(m.Value, 'g', -1, 64)})
	}
	for _, f := range t.Flags {
		props.Properties = append(props.Properties, junitProperty{"flag", f})
	}
	if t.Baseline != nil {
		props.Properties = append(props.Properties, junitProperty{"baseline", t.Against()})
	}
	if len(props.Properties) > 0 {
		c.Properties = props
	}
	text := ""
	for _, cmp := range t.Comparisons {
		if cmp.Verdict != Pass {
			text += fmt.Sprintf("%s %s: %s\n", cmp.Kind, cmp.Verdict, cmp.Reason)
		}
	}
	for _, e := range t.Events {
		text += e.Kind + ": " + e.Text + "\n"
	}
	switch t.Verdict {
	case Fail:
		c.Failure = &junitMessage{t.Reason, "fail", text}
	case Error:
		c.Error = &junitMessage{t.Reason, "error", text}
	case Skipped:
		c.Skipped = &junitMessage{Message: t.Reason}
	case Inconclusive:
		c.Skipped = &junitMessage{Message: "inconclusive: " + t.Reason}
	case Warn:
		c.SystemOut = "warn: " + t.Reason + "\n" + text
	default:
		c.SystemOut = text
	}
	return c
}
