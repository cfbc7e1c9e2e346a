#!/bin/sh
# Counts the words of all files below a folder, as map and reduce.
#   wordcount.sh map FOLDER OUT      each rank counts its share of the files into OUT/part.RANK
#   wordcount.sh reduce OUT          adds the parts up and prints the ten most frequent words
# Run by examples/quickstart.sh; MUSTER_RANK and MUSTER_NTASKS come from muster.
set -eu
case "$1" in
  map)
    folder=$2 out=$3
    mkdir -p "$out"
    find "$folder" -type f -name '*.h*' | sort |
      awk -v n="$MUSTER_NTASKS" -v r="$MUSTER_RANK" 'NR % n == r' > "$out/files.$MUSTER_RANK"
    xargs cat < "$out/files.$MUSTER_RANK" | tr -cs 'A-Za-z_' '\n' |
      awk 'length($0) > 3 { count[$0]++ } END { for (w in count) print count[w], w }' > "$out/part.$MUSTER_RANK"
    echo "rank $MUSTER_RANK of $MUSTER_NTASKS on $MUSTER_NODE_NAME (cpus $MUSTER_CPUS):" \
      "$(wc -l < "$out/files.$MUSTER_RANK") files, $(wc -l < "$out/part.$MUSTER_RANK") distinct words"
    ;;
  reduce)
    out=$2
    cat "$out"/part.* | awk '{ count[$2] += $1 } END { for (w in count) print count[w], w }' |
      sort -k1,1nr -k2 | head -n 10
    ;;
  *) echo "wordcount.sh: use 'map FOLDER OUT' or 'reduce OUT'" >&2; exit 2 ;;
esac
