// Nothing in this shop needs a script; the file is here because real pages ask for one.
document.documentElement.dataset.ready = "yes";
