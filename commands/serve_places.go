package commands

import (
	"os"
	"path/filepath"
	"strings"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/fdist"
	"cw/loadspec/sink"
	"cw/loadspec/source"
)

// servePlaces is what the server reads from and writes to.
func (a *App) servePlaces(o serveOptions, log fdist.Log) (fdist.Options, *fdist.FileOutputs, error) {
	var none fdist.Options
	block, err := blockSize(o.block)
	if err != nil {
		return none, nil, err
	}
	if o.dir == "" && len(o.s3) == 0 {
		return none, nil, usagef("name a folder: cw serve --dir .", "there is nothing to serve")
	}
	if len(o.s3) == 0 && (o.endpoint != "" || o.merge || o.compress != "" || o.region != "" || o.profile != "" || o.pathStyle) {
		return none, nil, usagef("add --s3 NAME=s3://bucket/prefix", "the --s3-… flags say how a store is reached, but no store is named")
	}
	so := fdist.Options{Log: log, Version: gpfdistVersion(), Compress: o.zstd, Linger: o.linger, SessionIdle: o.idle}
	in := &fdist.FileInputs{Dir: o.dir, BlockSize: block}
	out := &fdist.OutputMounts{}
	if o.dir != "" {
		dir, err := serveFolder(o.dir)
		if err != nil {
			return none, nil, err
		}
		in.Dir = dir
		out.Files = &fdist.FileOutputs{Dir: dir, Sync: o.sync, Log: log}
	}
	if o.transforms != "" {
		if o.dir == "" {
			return none, nil, usagef("add --dir FOLDER", "--transforms works on files of --dir")
		}
		t, err := fdist.ReadTransforms(o.transforms, in.Dir)
		if err != nil {
			return none, nil, err
		}
		in.Transform, out.Files.Transform = t.Inputs(a.IO.Err), t.Outputs(a.IO.Err)
	}
	var prefixes []string
	for _, m := range o.s3 {
		prefix, err := mountS3(m, o, in, out)
		if err != nil {
			return none, nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	so.Inputs = in
	if o.dir == "" {
		so.Inputs = fdist.Only{Inputs: in, Prefixes: prefixes}
	}
	if !o.readOnly {
		so.Outputs = out
	}
	return so, out.Files, nil
}

func serveFolder(name string) (string, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	if dir == "/" {
		return "", usagef("name the folder that segments need", "--dir /: everything this machine has is too much to serve")
	}
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return "", fault.New(fault.Usage, "", "--dir: %w", err)
	case !st.IsDir():
		return "", usagef("name its folder: --dir "+filepath.Dir(dir), "--dir: %s is no folder", dir)
	}
	return dir, nil
}

// mountS3 puts a store below a name.
func mountS3(arg string, o serveOptions, in *fdist.FileInputs, out *fdist.OutputMounts) (prefix string, err error) {
	prefix, url, ok := strings.Cut(arg, "=")
	prefix = strings.Trim(prefix, "/")
	if !ok || prefix == "" || strings.ContainsAny(prefix, " *?[\\#%") || strings.Contains(prefix, "..") {
		return "", usagef("write --s3 lake=s3://bucket/prefix", "--s3 %q does not name a place", arg)
	}
	if !strings.HasPrefix(url, "s3://") {
		return "", usagef("write --s3 "+prefix+"=s3://bucket/prefix", "--s3: %s is no s3:// URL", url)
	}
	for _, m := range in.Mounts {
		if m.Prefix == prefix {
			return "", usagef("choose another name for one of them", "--s3: two stores are named %s", prefix)
		}
	}
	// Stores other than Amazon's rarely have a name for each bucket.
	style := o.pathStyle || o.endpoint != ""
	src := loadspec.Source{Endpoint: o.endpoint, Region: o.region, Profile: o.profile, PathStyle: style, RoleARN: o.role, CAFile: o.caFile}
	access := source.AccessOf(src)
	in.Mounts = append(in.Mounts, fdist.SourceMount(prefix, url, src, source.Options{}))
	store, err := sink.Open(url, sink.Options{Access: &access})
	if err != nil {
		return "", err
	}
	outputs, err := sink.NewOutputs(store, sink.OutputOptions{Merge: o.merge, Compression: o.compress})
	if err != nil {
		return "", err
	}
	out.Mounts = append(out.Mounts, fdist.OutputMount{Prefix: prefix, Outputs: outputs})
	return prefix, nil
}
