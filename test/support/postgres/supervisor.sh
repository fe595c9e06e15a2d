# Ends a server whose tests have died, and removes its files.
#
# Standard input is a pipe to the process that started the server: a line with the id of each server it starts, and an
# empty line for each that has ended. The pipe closes when that process ends, however it ends.
#
# $1 is the folder to remove, if any.
server=
while read -r line; do server=$line; done

if [ -n "$server" ]; then
  # At once, without a checkpoint. A server that is stopped has to go on to hear of it.
  kill -QUIT "$server"
  kill -CONT "$server"
  tries=0
  while kill -0 "$server" && [ $tries -lt 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
fi 2>/dev/null

if [ -n "$1" ]; then rm -rf "$1"; fi
