/** What a participant reads, by language. */
export const TEXTS = {
  en: {
    title: "Naming pictures",
    consent: [
      "You will see pictures, each for a moment, and say what each shows. Many look strange; there is always one best choice, so guess where you are not sure.",
      "Taking part is voluntary. You may stop at any time without giving a reason, and have your data deleted.",
      "Your choices, their times, and the size and speed of your screen are kept, without your name or address.",
      "Pictures flash briefly, at most once a second. You need to be at least 18 years old, to see well (with glasses, if you wear them), and to use a computer with a keyboard or a mouse.",
    ],
    agree: "I have read this, am at least 18 years old, and agree to take part",
    decline: "I do not want to take part",
    unsuited: "Please use a computer, not a telephone or a tablet, and make this window larger if it is small.",
    instructions: [
      "Look at the cross in the middle. A picture follows it for a moment, then a pattern, then the choices.",
      "Choose with the mouse, or with the arrow keys and Enter. Take a guess when you are not sure.",
    ],
    practice: "First, some pictures to practice. You will be told the right choice.",
    screening: "Now some pictures without feedback. They show whether the task suits you.",
    mainPart: "Now the main part. Again you will not be told the right choice.",
    pause: "Take a break, as long as you like.",
    go: "Go on",
    next: "Next picture",
    right: "Right",
    wrong: "Not right",
    rightChoice: "The right choice was",
    done: "Thank you. You are done.",
    screenedOut: "Thank you. The task ends here for you.",
    declined: "You did not take part, and saw nothing.",
    nextParticipant: "Next participant",
    withdrawn: "You have left the experiment.",
    expired: "This session was left for too long and cannot be continued.",
    code: "Your completion code",
    inUse: "The experiment is open in another window. Go on there, or close it and load this page again in a minute.",
    saving: "Saving your answers\u2026",
    offline: "No connection. Your answers are kept here and sent when it is back.",
    unsent: "Your answers could not be sent yet",
    unsentFile: [
      "This page goes on trying for as long as it is open. If you cannot keep it open, download your answers as a file, and send it to the researcher who invited you.",
      "The file holds your answers, and nothing that tells who you are.",
    ],
    download: "Download my answers",
    leave: "Leave the experiment",
    leaveAsk: "Do you want to leave for good?",
    leaveStays:
      "Deleted data cannot be had back. What stays is that somebody took part and, if a recruiting site sent you, a code by which you would be recognized; it does not tell who you are.",
    leaveKeep: "Leave, my data may be kept",
    leaveDelete: "Leave and delete my data",
    stay: "Stay",
    failed: "Something went wrong. Load this page again; your answers are kept.",
    comments: "Anything you would like to tell us? (optional)",
    send: "Send",
    demographics: "About you",
    optional: "You need not answer.",
    age: "Age",
    gender: "Gender",
    genders: { woman: "woman", man: "man", other: "another" },
    untold: "prefer not to say",
    debriefing:
      "Computers name pictures and sounds, too. Many of those that you met were made by a computer program so that it could not tell them from natural ones. Your answers show whether people can.",
    sound: {
      title: "Naming sounds",
      consent: [
        "You will hear short sounds and say what each is. Many sound strange; there is always one best choice, so guess where you are not sure.",
        "Taking part is voluntary. You may stop at any time without giving a reason, and have your data deleted.",
        "Your choices, their times, and the size of your screen are kept, without your name or address.",
        "You need to be at least 18 years old, to hear well, and to wear headphones in a quiet room. Set the volume low first.",
      ],
      instructions: [
        "Each sound is heard once. The choices follow it.",
        "Choose with the mouse, or with the arrow keys and Enter. Take a guess when you are not sure.",
      ],
      practice: "First, some sounds to practice. You will be told the right choice.",
      screening: "Now some sounds without feedback. They show whether the task suits you.",
      next: "Next sound",
    },
    word: {
      instructions: [
        "Each sound is heard once. Then type the word in its middle; a list shows the words that there are.",
        "Take a guess when you are not sure.",
      ],
    },
    question: "Which looks more like the picture above?",
    candidates: ["Left", "Right"],
    same: { first: "The picture on the left was the same as the one above.", second: "The picture on the right was the same as the one above." },
    imagePair: {
      title: "Comparing pictures",
      consent: [
        "You will see a picture above two others, and say which of the two looks more like it. Many look strange, and often neither looks much like it; go by your impression, and guess where you are not sure.",
        "Taking part is voluntary. You may stop at any time without giving a reason, and have your data deleted.",
        "Your choices, their times, and the size and speed of your screen are kept, without your name or address.",
        "You need to be at least 18 years old, to see well (with glasses, if you wear them), and to use a computer with a keyboard or a mouse.",
      ],
      instructions: [
        "Above is a picture. Which of the two below it looks more like it?",
        "Choose with the mouse, or with the left and right arrow keys (or 1 and 2). Take a guess when you are not sure.",
      ],
      practice: "First, some pictures to practice. One of the two is the same as the picture above; you will be told which.",
      debriefing:
        "Computers see pictures and hear sounds, too. Many of those that you met were made by a computer program so that it could not tell them from natural ones. Your answers show how alike they are to people.",
    },
    soundPair: {
      title: "Comparing sounds",
      consent: [
        "You will hear a sound and then two others, and say which of the two sounds more like the one before them. Many sound strange, and often neither sounds much like it; go by your impression, and guess where you are not sure.",
        "Taking part is voluntary. You may stop at any time without giving a reason, and have your data deleted.",
        "Your choices, their times, and the size of your screen are kept, without your name or address.",
        "You need to be at least 18 years old, to hear well, and to wear headphones in a quiet room. Set the volume low first.",
      ],
      instructions: [
        "You will hear three sounds, one after another, once. Which of the last two sounds more like the one before them?",
        "Choose with the mouse, or with the left and right arrow keys (or 1 and 2). Take a guess when you are not sure.",
      ],
      practice: "First, some sounds to practice. One of the last two is the same as the one before them; you will be told which.",
      next: "Next sounds",
      question: "The first sound was followed by two others. Which of these two sounded more like it?",
      candidates: ["The first of the two", "The second of the two"],
      same: { first: "The first of the two was the same sound.", second: "The second of the two was the same sound." },
    },
    headphones:
      "Put on your headphones. You will hear three tones, again and again; each time, say which is the quietest. Set the volume so that the tones are clear and comfortable.",
    headphonesAgain:
      "Too few of these answers were right to tell that you wear headphones. Check that they are plugged in and on both ears, that no loudspeaker plays and no sound effects are on, and look for a quiet place. Then try once more; if it fails again, the task ends here.",
    leftFullscreen: "The experiment no longer fills the screen. With the whole screen there is less to distract you.",
    fullscreenAgain: "Fill the screen again",
    fullscreenNever: "Go on without",
    quietest: ["The first is the quietest", "The second is the quietest", "The third is the quietest"],
    typed: "The word you heard",
    notInList: "Choose a word of the list.",
    listen: "Listen\u2026",
    returnLink: "Go back and hand in the code",
  },
  de: {
    title: "Bilder benennen",
    consent: [
      "Sie sehen Bilder, jedes nur einen Moment, und sagen, was sie zeigen. Viele sehen fremd aus; eine Antwort passt immer am besten, raten Sie also, wenn Sie nicht sicher sind.",
      "Die Teilnahme ist freiwillig. Sie können jederzeit ohne Angabe von Gründen aufhören und Ihre Daten löschen lassen.",
      "Gespeichert werden Ihre Antworten, deren Zeiten sowie Größe und Bildrate Ihres Bildschirms, ohne Namen und Adresse.",
      "Bilder leuchten kurz auf, höchstens einmal pro Sekunde. Sie müssen mindestens 18 Jahre alt sein, gut sehen (mit Brille, falls Sie eine tragen) und einen Computer mit Tastatur oder Maus benutzen.",
    ],
    agree: "Ich habe dies gelesen, bin mindestens 18 Jahre alt und nehme teil",
    decline: "Ich möchte nicht teilnehmen",
    unsuited: "Bitte benutzen Sie einen Computer, kein Telefon oder Tablet, und vergrößern Sie dieses Fenster, falls es klein ist.",
    instructions: [
      "Schauen Sie auf das Kreuz in der Mitte. Darauf folgt für einen Moment ein Bild, dann ein Muster, dann die Auswahl.",
      "Wählen Sie mit der Maus oder mit Pfeiltasten und Eingabetaste. Raten Sie, wenn Sie nicht sicher sind.",
    ],
    practice: "Zuerst einige Bilder zum Üben. Danach erfahren Sie jeweils die richtige Antwort.",
    screening: "Nun einige Bilder ohne Rückmeldung. Sie zeigen, ob Ihnen die Aufgabe liegt.",
    mainPart: "Nun der Hauptteil, wieder ohne Rückmeldung.",
    pause: "Machen Sie eine Pause, so lange Sie möchten.",
    go: "Weiter",
    next: "Nächstes Bild",
    right: "Richtig",
    wrong: "Nicht richtig",
    rightChoice: "Richtig war",
    done: "Vielen Dank. Sie sind fertig.",
    screenedOut: "Vielen Dank. Die Aufgabe endet hier für Sie.",
    declined: "Sie haben nicht teilgenommen und nichts gesehen.",
    nextParticipant: "Nächste Person",
    withdrawn: "Sie haben das Experiment verlassen.",
    expired: "Diese Sitzung wurde zu lange nicht fortgesetzt und ist beendet.",
    code: "Ihr Abschlusscode",
    inUse: "Das Experiment ist in einem anderen Fenster offen. Machen Sie dort weiter, oder schließen Sie es und laden Sie diese Seite in einer Minute neu.",
    saving: "Ihre Antworten werden gespeichert\u2026",
    offline: "Keine Verbindung. Ihre Antworten bleiben hier und werden später gesendet.",
    unsent: "Ihre Antworten konnten noch nicht gesendet werden",
    unsentFile: [
      "Diese Seite versucht es weiter, solange sie offen ist. Wenn Sie sie nicht offen lassen können, laden Sie Ihre Antworten als Datei herunter, und senden Sie sie an die Person, die Sie eingeladen hat.",
      "Die Datei enthält Ihre Antworten und nichts, das sagt, wer Sie sind.",
    ],
    download: "Meine Antworten herunterladen",
    leave: "Experiment verlassen",
    leaveAsk: "Möchten Sie endgültig aufhören?",
    leaveStays:
      "Gelöschte Daten sind unwiederbringlich. Es bleibt, dass jemand teilgenommen hat und, falls eine Vermittlungsseite Sie geschickt hat, ein Code, an dem Sie wiedererkannt würden; er verrät nicht, wer Sie sind.",
    leaveKeep: "Aufhören, Daten dürfen bleiben",
    leaveDelete: "Aufhören und Daten löschen",
    stay: "Bleiben",
    failed: "Etwas ist schiefgegangen. Laden Sie die Seite neu; Ihre Antworten sind gespeichert.",
    comments: "Möchten Sie uns etwas mitteilen? (freiwillig)",
    send: "Senden",
    demographics: "Über Sie",
    optional: "Sie müssen nicht antworten.",
    age: "Alter",
    gender: "Geschlecht",
    genders: { woman: "weiblich", man: "männlich", other: "anderes" },
    untold: "keine Angabe",
    debriefing:
      "Auch Computer benennen Bilder und Klänge. Viele von denen, die Ihnen begegnet sind, hat ein Programm so gemacht, dass es sie nicht von natürlichen unterscheiden konnte. Ihre Antworten zeigen, ob Menschen es können.",
    sound: {
      title: "Klänge benennen",
      consent: [
        "Sie hören kurze Klänge und sagen, was sie sind. Viele klingen fremd; eine Antwort passt immer am besten, raten Sie also, wenn Sie nicht sicher sind.",
        "Die Teilnahme ist freiwillig. Sie können jederzeit ohne Angabe von Gründen aufhören und Ihre Daten löschen lassen.",
        "Gespeichert werden Ihre Antworten, deren Zeiten und die Größe Ihres Bildschirms, ohne Namen und Adresse.",
        "Sie müssen mindestens 18 Jahre alt sein, gut hören und in einem ruhigen Raum Kopfhörer tragen. Stellen Sie die Lautstärke zuerst niedrig ein.",
      ],
      instructions: [
        "Jeder Klang ist einmal zu hören. Danach folgt die Auswahl.",
        "Wählen Sie mit der Maus oder mit Pfeiltasten und Eingabetaste. Raten Sie, wenn Sie nicht sicher sind.",
      ],
      practice: "Zuerst einige Klänge zum Üben. Danach erfahren Sie jeweils die richtige Antwort.",
      screening: "Nun einige Klänge ohne Rückmeldung. Sie zeigen, ob Ihnen die Aufgabe liegt.",
      next: "Nächster Klang",
    },
    word: {
      instructions: [
        "Jeder Klang ist einmal zu hören. Geben Sie dann das Wort in seiner Mitte ein; eine Liste zeigt die möglichen Wörter.",
        "Raten Sie, wenn Sie nicht sicher sind.",
      ],
    },
    question: "Welches sieht dem Bild oben ähnlicher?",
    candidates: ["Links", "Rechts"],
    same: { first: "Das linke Bild war dasselbe wie das obere.", second: "Das rechte Bild war dasselbe wie das obere." },
    imagePair: {
      title: "Bilder vergleichen",
      consent: [
        "Sie sehen ein Bild über zwei anderen und sagen, welches der beiden ihm ähnlicher sieht. Viele sehen fremd aus, und oft ist keines sehr ähnlich; gehen Sie nach Ihrem Eindruck, und raten Sie, wenn Sie nicht sicher sind.",
        "Die Teilnahme ist freiwillig. Sie können jederzeit ohne Angabe von Gründen aufhören und Ihre Daten löschen lassen.",
        "Gespeichert werden Ihre Antworten, deren Zeiten sowie Größe und Bildrate Ihres Bildschirms, ohne Namen und Adresse.",
        "Sie müssen mindestens 18 Jahre alt sein, gut sehen (mit Brille, falls Sie eine tragen) und einen Computer mit Tastatur oder Maus benutzen.",
      ],
      instructions: [
        "Oben ist ein Bild. Welches der beiden darunter sieht ihm ähnlicher?",
        "Wählen Sie mit der Maus oder mit den Pfeiltasten nach links und rechts (oder 1 und 2). Raten Sie, wenn Sie nicht sicher sind.",
      ],
      practice: "Zuerst einige Bilder zum Üben. Eines der beiden ist dasselbe wie das Bild oben; Sie erfahren danach, welches.",
      debriefing:
        "Auch Computer sehen Bilder und hören Klänge. Viele von denen, die Ihnen begegnet sind, hat ein Programm so gemacht, dass es sie nicht von natürlichen unterscheiden konnte. Ihre Antworten zeigen, wie ähnlich sie für Menschen sind.",
    },
    soundPair: {
      title: "Klänge vergleichen",
      consent: [
        "Sie hören einen Klang und danach zwei andere und sagen, welcher der beiden dem davor ähnlicher klingt. Viele klingen fremd, und oft ist keiner sehr ähnlich; gehen Sie nach Ihrem Eindruck, und raten Sie, wenn Sie nicht sicher sind.",
        "Die Teilnahme ist freiwillig. Sie können jederzeit ohne Angabe von Gründen aufhören und Ihre Daten löschen lassen.",
        "Gespeichert werden Ihre Antworten, deren Zeiten und die Größe Ihres Bildschirms, ohne Namen und Adresse.",
        "Sie müssen mindestens 18 Jahre alt sein, gut hören und in einem ruhigen Raum Kopfhörer tragen. Stellen Sie die Lautstärke zuerst niedrig ein.",
      ],
      instructions: [
        "Sie hören drei Klänge nacheinander, einmal. Welcher der letzten beiden klingt dem davor ähnlicher?",
        "Wählen Sie mit der Maus oder mit den Pfeiltasten nach links und rechts (oder 1 und 2). Raten Sie, wenn Sie nicht sicher sind.",
      ],
      practice: "Zuerst einige Klänge zum Üben. Einer der letzten beiden ist derselbe wie der davor; Sie erfahren danach, welcher.",
      next: "Nächste Klänge",
      question: "Auf den ersten Klang folgten zwei andere. Welcher dieser beiden klang ihm ähnlicher?",
      candidates: ["Der erste der beiden", "Der zweite der beiden"],
      same: { first: "Der erste der beiden war derselbe Klang.", second: "Der zweite der beiden war derselbe Klang." },
    },
    headphones:
      "Setzen Sie Kopfhörer auf. Sie hören mehrmals drei Töne; sagen Sie jedes Mal, welcher der leiseste ist. Stellen Sie die Lautstärke so ein, dass die Töne deutlich und angenehm sind.",
    headphonesAgain:
      "Zu wenige dieser Antworten waren richtig, um sicher zu sein, dass Sie Kopfhörer tragen. Prüfen Sie, ob sie angeschlossen sind und auf beiden Ohren sitzen, ob kein Lautsprecher spielt und keine Klangeffekte eingeschaltet sind, und suchen Sie einen ruhigen Ort. Versuchen Sie es dann noch einmal; misslingt es wieder, endet die Aufgabe hier.",
    leftFullscreen: "Das Experiment füllt den Bildschirm nicht mehr. Mit dem ganzen Bildschirm lenkt weniger ab.",
    fullscreenAgain: "Wieder den Bildschirm füllen",
    fullscreenNever: "So weitermachen",
    quietest: ["Der erste ist der leiseste", "Der zweite ist der leiseste", "Der dritte ist der leiseste"],
    typed: "Das gehörte Wort",
    notInList: "Wählen Sie ein Wort der Liste.",
    listen: "Hören Sie zu\u2026",
    returnLink: "Zurück, um den Code abzugeben",
  },
};

export type Language = keyof typeof TEXTS;
export type Texts = (typeof TEXTS)["en"];

/** What an experiment says in its own words. */
export type OwnTexts = Partial<Record<Language, Partial<Pick<Texts, "title" | "consent" | "instructions" | "debriefing">>>>;

/** The texts of a language for a task; what an experiment says in its own words takes their place. */
export function textsFor(language: Language, task: string, ofExperiment: OwnTexts = {}): Texts {
  const texts = TEXTS[language];
  const { sound, word, imagePair, soundPair } = texts;
  const own: Record<string, Partial<Texts>> = {
    sound,
    word: { ...sound, ...word },
    image_pair: imagePair,
    sound_pair: { ...imagePair, ...sound, ...soundPair },
  };
  return { ...texts, ...own[task], ...ofExperiment[language] };
}

/** That of the address (?lang=de), else of the browser, else the first; of those in which an experiment has its own
 * texts, if there are any. */
export function chosenLanguage(ofExperiment: OwnTexts = {}): Language {
  const own = Object.keys(ofExperiment);
  const known = own.length ? own : Object.keys(TEXTS);
  const wanted = [new URLSearchParams(location.search).get("lang"), ...navigator.languages.map((l) => l.slice(0, 2))];
  return (wanted.find((name) => name !== null && known.includes(name)) ?? known[0]) as Language;
}
